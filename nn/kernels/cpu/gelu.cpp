#include "nn/kernels/gelu.h"

#include <algorithm>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

// (1 + tanh u) / 2 = sigmoid(2u), so that one exponential and one division make GELU(x) = x sigmoid(2u), where
// 2u = x (kLinear + kCubic x^2).
constexpr float kLinear = 1.5957691216F;    // 2 sqrt(2 / pi)
constexpr float kCubic = 0.0713548162726F;  // 0.044715 kLinear
constexpr float kLargest = 1e12F;           // of x (2u)' in the derivative: that of |x| = 16,700
constexpr float kLeast = -1e4F;             // GELU below it is that of it, which is 0 in all but the bits

HWY_INLINE FloatVector exp_minus_2u(FloatVector x, FloatVector x2) {
  const FloatVector minus_2u = hn::Mul(x, hn::MulAdd(x2, splat(-kCubic), splat(-kLinear)));
  return exp(minus_2u);
}

HWY_INLINE FloatVector gelu(FloatVector x) {
  // What Max makes of a NaN does not matter: the divisor is one too.
  return hn::Div(hn::Max(x, splat(kLeast)), hn::Add(splat(1), exp_minus_2u(x, hn::Mul(x, x))));
}

// GELU'(x) = s + x s' with s = sigmoid(2u), s' = s (1 - s) (2u)' and (2u)' = kLinear + 3 kCubic x^2.
HWY_INLINE FloatVector gelu_derivative(FloatVector x) {
  const FloatVector x2 = hn::Mul(x, x);
  const FloatVector e = exp_minus_2u(x, x2);
  const FloatVector s = hn::Div(splat(1), hn::Add(splat(1), e));
  const FloatVector one_minus_s = hn::Mul(e, s);
  const FloatVector slope = hn::MulAdd(x2, splat(3 * kCubic), splat(kLinear));
  // Far out one factor is 0, or the least that exp gives, and no other may outgrow it. What Min and Max make of a NaN
  // does not matter: s is one too.
  const FloatVector x_slope = hn::Max(hn::Min(hn::Mul(x, slope), splat(kLargest)), splat(-kLargest));
  return hn::Mul(s, hn::MulAdd(x_slope, one_minus_s, splat(1)));
}

template <class T>
void forward(const T* x, T* y, Elems begin, Elems end) {
  for_each_vector(begin, end, [=](Elems i, auto lanes) { store(gelu(load(x + i, lanes)), y + i, lanes); });
}

template <class T>
void backward(const T* x, const T* dy, T* dx, Elems begin, Elems end) {
  for_each_vector(begin, end, [=](Elems i, auto lanes) {
    store(hn::Mul(load(dy + i, lanes), gelu_derivative(load(x + i, lanes))), dx + i, lanes);
  });
}

template <class T>
void add_row(const T* row, std::int64_t columns, float* sums) {
  for_each_vector(0, columns, [=](Elems c, auto lanes) {
    store(hn::Add(load(sums + c, lanes), load(row + c, lanes)), sums + c, lanes);
  });
}

// Row by row, so that what is summed is still in cache.
template <class T>
void backward_with_sums(Machine& machine, const GeluBackward& kernel) {
  const Blocks blocks = row_blocks(kernel.rows);
  const std::int64_t columns = kernel.columns;
  auto* partial_sums = static_cast<float*>(kernel.workspace);
  auto* dx = static_cast<T*>(kernel.dx);
  parallel_for(machine, blocks.count(), [&](std::int64_t block) {
    float* sums = partial_sums + block * columns;
    std::fill_n(sums, columns, 0.0F);
    for (std::int64_t row = blocks.begin(block); row < blocks.end(block); ++row) {
      const Elems begin = row * columns;
      backward(static_cast<const T*>(kernel.x), static_cast<const T*>(kernel.dy), dx, begin, begin + columns);
      add_row(dx + begin, columns, sums);
    }
  });
  combine(machine, partial_sums, blocks.count(), columns, kernel.dbias, kernel.accumulate_dbias);
}

}  // namespace

void run(Machine& machine, const GeluForward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    for_each_chunk(machine, kernel.elems, [&](Elems begin, Elems end) {
      forward(static_cast<const T*>(kernel.x), static_cast<T*>(kernel.y), begin, end);
    });
  });
}

Bytes workspace_bytes(Machine& /*machine*/, const GeluBackward& kernel) {
  return kernel.dbias == nullptr ? 0 : partial_sums_bytes(kernel.rows, kernel.columns);
}

void run(Machine& machine, const GeluBackward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    if (kernel.dbias != nullptr) {
      backward_with_sums<T>(machine, kernel);
      return;
    }
    for_each_chunk(machine, kernel.rows * kernel.columns, [&](Elems begin, Elems end) {
      backward(static_cast<const T*>(kernel.x), static_cast<const T*>(kernel.dy), static_cast<T*>(kernel.dx), begin,
               end);
    });
  });
}

template void run_kernel(Machine&, const GeluForward&);
template Bytes workspace_of_kernel(Machine&, const GeluBackward&);
template void run_kernel(Machine&, const GeluBackward&);

}  // namespace retape::nn::cpu
