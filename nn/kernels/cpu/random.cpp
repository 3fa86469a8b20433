#include "nn/kernels/random.h"

#include <cmath>
#include <numbers>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/implement.h"

namespace retape::nn::cpu {

void run(Machine& machine, const NormalFill& kernel) {
  for_each_chunk(machine, kernel.elems, [&](Elems begin, Elems end) {
    for (Elems e = begin; e < end; ++e) {
      // In (0, 1], so that the logarithm is finite.
      const double u = (kernel.rng.bits(2 * e) + 1.0) * 0x1p-32;
      const double v = kernel.rng.bits(2 * e + 1) * 0x1p-32;
      const double radius = std::sqrt(-2.0 * std::log(u));
      kernel.out[e] = static_cast<float>(kernel.stddev * radius * std::cos(2.0 * std::numbers::pi * v));
    }
  });
}

template void run_kernel(Machine&, const NormalFill&);

}  // namespace retape::nn::cpu
