#include "nn/kernels/random.h"

#include <cmath>
#include <numbers>

#include "nn/runtime/cpu/machine.h"

namespace retape::nn::cpu {

void run(Machine& machine, const NormalFill& kernel) {
#pragma omp parallel for schedule(static) num_threads(machine.threads())
  for (Elems e = 0; e < kernel.elems; ++e) {
    // In (0, 1], so that the logarithm is finite.
    const double u = (kernel.rng.bits(2 * e) + 1.0) * 0x1p-32;
    const double v = kernel.rng.bits(2 * e + 1) * 0x1p-32;
    const double radius = std::sqrt(-2.0 * std::log(u));
    kernel.out[e] = static_cast<float>(kernel.stddev * radius * std::cos(2.0 * std::numbers::pi * v));
  }
}

}  // namespace retape::nn::cpu
