// The check of ids that a kernel is about to use as addresses.
#pragma once

#include <string_view>

#include "nn/base/error.h"
#include "nn/kernels/ids.h"
#include "nn/kernels/launch.h"

namespace retape::nn {

// Throws DataError where an id of an i32 tensor is not in [0, below).
inline void expect_ids(Context& context, std::string_view op, std::string_view input, const Tensor& ids,
                       std::int64_t below) {
  Elems first = -1;
  launch(context,
         FindForeignId{.ids = ids.data_as<std::int32_t>(), .count = ids.elems(), .below = below, .first = &first});
  if (first >= 0) {
    std::int32_t id = 0;
    context.device().copy_to_host(&id, ids.data_as<std::int32_t>() + first, size_of(DType::i32));
    fail<DataError>("[{}] {}: expected ids in [0, {}), got {} at {}", op, input, below, id, first);
  }
}

}  // namespace retape::nn
