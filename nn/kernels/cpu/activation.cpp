#include "nn/kernels/activation.h"

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

// Both functions with the small exponential e^-|x|, which cannot overflow.

HWY_INLINE FloatVector sigmoid(FloatVector x) {
  const FloatVector e = exp(hn::Neg(hn::Abs(x)));
  const FloatVector numerator = hn::IfThenElse(hn::Lt(x, splat(0)), e, splat(1));
  return hn::Div(numerator, hn::Add(splat(1), e));
}

HWY_INLINE FloatVector tanh(FloatVector x) {
  const FloatVector size = hn::Abs(x);
  const FloatVector e = exp(hn::Mul(splat(-2), size));
  const FloatVector far = hn::CopySign(hn::Div(hn::Sub(splat(1), e), hn::Add(splat(1), e)), x);
  // Near 0 that cancels: x + x^3 p(x^2), within 1.6e-8 of tanh for |x| <= 0.625.
  const FloatVector x2 = hn::Mul(x, x);
  FloatVector p = splat(-0.006096714166F);
  p = hn::MulAdd(p, x2, splat(0.020997178999F));
  p = hn::MulAdd(p, x2, splat(-0.053850909579F));
  p = hn::MulAdd(p, x2, splat(0.133327697370F));
  p = hn::MulAdd(p, x2, splat(-0.333333289441F));
  const FloatVector near = hn::MulAdd(hn::Mul(x, x2), p, x);
  return hn::IfThenElse(hn::Le(size, splat(0.625F)), near, far);
}

// Calls f with the function, and with its slope as a function of its value.
template <class F>
void with_activation(ActivationKind kind, F f) {
  switch (kind) {
    case ActivationKind::relu:
      return f([](FloatVector x) { return hn::IfThenZeroElse(hn::Lt(x, splat(0)), x); },
               [](FloatVector y) { return hn::IfThenZeroElse(hn::Le(y, splat(0)), splat(1)); });
    case ActivationKind::tanh:
      return f([](FloatVector x) { return tanh(x); }, [](FloatVector y) { return hn::NegMulAdd(y, y, splat(1)); });
    case ActivationKind::sigmoid:
      return f([](FloatVector x) { return sigmoid(x); }, [](FloatVector y) { return hn::NegMulAdd(y, y, y); });
  }
}

}  // namespace

void run(Machine& machine, const ActivationForward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    const auto* x = static_cast<const T*>(kernel.x);
    auto* y = static_cast<T*>(kernel.y);
    with_activation(kernel.kind, [&](auto function, auto /*slope*/) {
      for_each_chunk(machine, kernel.elems, [=](Elems begin, Elems end) {
        for_each_vector(begin, end, [=](Elems i, auto lanes) { store(function(load(x + i, lanes)), y + i, lanes); });
      });
    });
  });
}

void run(Machine& machine, const ActivationBackward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    dispatch(kernel.dx_dtype, [&]<class G>(G) {
      const auto* y = static_cast<const T*>(kernel.y);
      const auto* dy = static_cast<const T*>(kernel.dy);
      auto* dx = static_cast<G*>(kernel.dx);
      with_activation(kernel.kind, [&, accumulate = kernel.accumulate](auto /*function*/, auto slope) {
        for_each_chunk(machine, kernel.elems, [=](Elems begin, Elems end) {
          for_each_vector(begin, end, [=](Elems i, auto lanes) {
            store_or_add(hn::Mul(load(dy + i, lanes), slope(load(y + i, lanes))), dx + i, accumulate, lanes);
          });
        });
      });
    });
  });
}

template void run_kernel(Machine&, const ActivationForward&);
template void run_kernel(Machine&, const ActivationBackward&);

}  // namespace retape::nn::cpu
