#include "nn/kernels/ids.h"

#include "nn/kernels/cpu/implement.h"

#include <algorithm>

namespace retape::nn::cpu {

void run(Machine& /*machine*/, const FindForeignId& kernel) {
  const std::int32_t* const end = kernel.ids + kernel.count;
  const std::int32_t* const found =
      std::find_if(kernel.ids, end, [&](std::int32_t id) { return id < 0 || id >= kernel.below; });
  *kernel.first = found == end ? -1 : found - kernel.ids;
}

template void run_kernel(Machine&, const FindForeignId&);

}  // namespace retape::nn::cpu
