// What ranks must agree on before they start.
#pragma once

#include <string_view>

#include "parallel/comm/communicator.h"

namespace retape::parallel {

// Throws CommError on every rank, naming the first rank that differs from rank 0 and both texts, unless all pass the
// same text. Collective. Has nobody to ask where the communicator is planned.
void require_agreement(Communicator& communicator, std::string_view what, std::string_view text);

}  // namespace retape::parallel
