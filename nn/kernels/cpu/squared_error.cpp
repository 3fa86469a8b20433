#include "nn/kernels/squared_error.h"

#include "nn/kernels/cpu/double_sums.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

template <class T>
void forward(Machine& machine, const MeanSquaredErrorForward& kernel) {
  const auto* a = static_cast<const T*>(kernel.a);
  const auto* b = static_cast<const T*>(kernel.b);
  const auto squared_error = [=](Elems i, auto lanes) {
    const DoubleVector error = hn::Sub(load_as_double(a + i, lanes), load_as_double(b + i, lanes));
    return hn::Mul(error, error);
  };
  sum_each_row(machine, 1, kernel.elems, kernel.workspace, squared_error, [&](std::int64_t /*row*/, double sum) {
    *kernel.loss = static_cast<float>(sum / static_cast<double>(kernel.elems));
  });
}

template <class T, class G>
void backward(Machine& machine, const MeanSquaredErrorBackward& kernel) {
  const auto* a = static_cast<const T*>(kernel.a);
  const auto* b = static_cast<const T*>(kernel.b);
  auto* da = static_cast<G*>(kernel.da);
  const bool accumulate = kernel.accumulate;
  // Of half the error, which f32 can hold where the error is beyond it.
  const auto factor = static_cast<float>(4 * double{*kernel.dloss} / static_cast<double>(kernel.elems));
  for_each_chunk(machine, kernel.elems, [=](Elems begin, Elems end) {
    for_each_vector(begin, end, [=](Elems i, auto lanes) {
      const FloatVector half = splat(0.5F);
      const FloatVector half_error = hn::MulSub(half, load(a + i, lanes), hn::Mul(half, load(b + i, lanes)));
      store_or_add(hn::Mul(half_error, splat(factor)), da + i, accumulate, lanes);
    });
  });
}

}  // namespace

Bytes workspace_bytes(Machine& /*machine*/, const MeanSquaredErrorForward& kernel) {
  return row_sums_bytes(1, kernel.elems);
}

void run(Machine& machine, const MeanSquaredErrorForward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) { forward<T>(machine, kernel); });
}

void run(Machine& machine, const MeanSquaredErrorBackward& kernel) {
  dispatch(kernel.dtype,
           [&]<class T>(T) { dispatch(kernel.da_dtype, [&]<class G>(G) { backward<T, G>(machine, kernel); }); });
}

template Bytes workspace_of_kernel(Machine&, const MeanSquaredErrorForward&);
template void run_kernel(Machine&, const MeanSquaredErrorForward&);
template void run_kernel(Machine&, const MeanSquaredErrorBackward&);

}  // namespace retape::nn::cpu
