#include "nn/kernels/softmax.h"

#include <cmath>

#include "nn/kernels/cpu/exponential_sums.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/row_sums.h"

namespace retape::nn::cpu {
namespace {

template <class T>
void forward(const T* x, T* y, std::int64_t columns, bool logarithm) {
  const float max = largest(x, columns);
  const double sum = sum_of_exponentials(x, columns, max);
  const auto log_sum = static_cast<float>(std::log(sum));
  const auto factor = static_cast<float>(1 / sum);
  for_each_vector(0, columns, [=](Elems c, auto lanes) {
    const FloatVector below_max = hn::Sub(load(x + c, lanes), splat(max));
    store(logarithm ? hn::Sub(below_max, splat(log_sum)) : hn::Mul(exp(below_max), splat(factor)), y + c, lanes);
  });
}

template <class T, class G>
void backward(const T* y, const T* dy, G* dx, std::int64_t columns, bool accumulate) {
  const float dot =
      sum_over(columns, [=](Elems c, auto lanes) { return hn::Mul(load(y + c, lanes), load(dy + c, lanes)); });
  for_each_vector(0, columns, [=](Elems c, auto lanes) {
    const FloatVector centred = hn::Sub(load(dy + c, lanes), splat(dot));
    store_or_add(hn::Mul(load(y + c, lanes), centred), dx + c, accumulate, lanes);
  });
}

template <class T, class G>
void backward_of_logarithm(const T* y, const T* dy, G* dx, std::int64_t columns, bool accumulate) {
  const float total = sum_over(columns, [=](Elems c, auto lanes) { return load(dy + c, lanes); });
  for_each_vector(0, columns, [=](Elems c, auto lanes) {
    const FloatVector probability = exp(load(y + c, lanes));
    store_or_add(hn::NegMulAdd(probability, splat(total), load(dy + c, lanes)), dx + c, accumulate, lanes);
  });
}

}  // namespace

void run(Machine& machine, const SoftmaxForward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    parallel_for(machine, kernel.rows, [&](std::int64_t row) {
      const Elems first = row * kernel.columns;
      forward(static_cast<const T*>(kernel.x) + first, static_cast<T*>(kernel.y) + first, kernel.columns,
              kernel.logarithm);
    });
  });
}

void run(Machine& machine, const SoftmaxBackward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    dispatch(kernel.dx_dtype, [&]<class G>(G) {
      parallel_for(machine, kernel.rows, [&](std::int64_t row) {
        const Elems first = row * kernel.columns;
        const T* y = static_cast<const T*>(kernel.y) + first;
        const T* dy = static_cast<const T*>(kernel.dy) + first;
        G* dx = static_cast<G*>(kernel.dx) + first;
        if (kernel.logarithm) {
          backward_of_logarithm(y, dy, dx, kernel.columns, kernel.accumulate);
        } else {
          backward(y, dy, dx, kernel.columns, kernel.accumulate);
        }
      });
    });
  });
}

template void run_kernel(Machine&, const SoftmaxForward&);
template void run_kernel(Machine&, const SoftmaxBackward&);

}  // namespace retape::nn::cpu
