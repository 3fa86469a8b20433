// A hash of all gradients, so that anyone can check that two runs have the same bits.
#pragma once

#include <cstdint>

#include "nn/layers/parameter.h"

namespace retape::trainer {

// Depends on every bit of every gradient, and on their order.
std::uint64_t hash_gradients(const nn::Parameters& parameters);

}  // namespace retape::trainer
