#include "nn/kernels/reduction.h"

#include "nn/kernels/cpu/double_sums.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/segments.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

template <class T, class Out>
void sum(Machine& machine, const RowSum& kernel) {
  const auto* x = static_cast<const T*>(kernel.x);
  auto* out = static_cast<Out*>(kernel.out);
  sum_each_row(
      machine, kernel.rows, kernel.columns, kernel.workspace,
      [=](Elems i, auto lanes) { return load_as_double(x + i, lanes); },
      [=, divisor = kernel.divisor](std::int64_t row, double total) {
        out[row] = rounded<Out>(static_cast<float>(total / divisor));
      });
}

template <class T, class Out>
void spread(Machine& machine, const RowSpread& kernel) {
  const auto* x = static_cast<const T*>(kernel.x);
  auto* const to = static_cast<Out*>(kernel.out);
  for_each_segment(machine, kernel.rows * kernel.columns, kernel.columns, [&](const Segment& segment) {
    const FloatVector value = splat(static_cast<float>(double{to_float(x[segment.row])} / kernel.divisor));
    Out* out = to + segment.begin;
    for_each_vector(0, segment.count, [=, accumulate = kernel.accumulate](Elems i, auto lanes) {
      store_or_add(value, out + i, accumulate, lanes);
    });
  });
}

}  // namespace

Bytes workspace_bytes(Machine& /*machine*/, const RowSum& kernel) {
  return row_sums_bytes(kernel.rows, kernel.columns);
}

void run(Machine& machine, const RowSum& kernel) {
  dispatch(kernel.dtype,
           [&]<class T>(T) { dispatch(kernel.out_dtype, [&]<class Out>(Out) { sum<T, Out>(machine, kernel); }); });
}

void run(Machine& machine, const RowSpread& kernel) {
  dispatch(kernel.dtype,
           [&]<class T>(T) { dispatch(kernel.out_dtype, [&]<class Out>(Out) { spread<T, Out>(machine, kernel); }); });
}

template Bytes workspace_of_kernel(Machine&, const RowSum&);
template void run_kernel(Machine&, const RowSum&);
template void run_kernel(Machine&, const RowSpread&);

}  // namespace retape::nn::cpu
