#include "nn/kernels/step_numbers.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/kernels/cpu/implement.h"

namespace retape::nn::cpu {

void run(Machine& /*machine*/, const AddToSum& kernel) {
  *kernel.sum += *kernel.x;
}

void run(Machine& /*machine*/, const ClipScale& kernel) {
  constexpr double kEpsilon = 1e-6;
  double sum = 0;
  for (std::int64_t i = 0; i < kernel.count; ++i) {
    const double norm = std::sqrt(kernel.squares[i]);
    const volatile double square = norm * norm;  // rounded by itself, whether or not the machine fuses the sum
    sum += square;
  }
  const double norm = std::sqrt(sum);
  const double factor = kernel.limit > 0 ? std::min(1.0, kernel.limit / (norm + kEpsilon)) : 1.0;
  *kernel.norm = norm;
  *kernel.scale =
      std::isfinite(norm) && std::isfinite(*kernel.loss) ? factor : std::numeric_limits<double>::quiet_NaN();
}

template void run_kernel(Machine&, const AddToSum&);
template void run_kernel(Machine&, const ClipScale&);

}  // namespace retape::nn::cpu
