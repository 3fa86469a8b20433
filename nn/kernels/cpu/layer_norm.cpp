#include "nn/kernels/layer_norm.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/double_sums.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/row_sums.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

struct Statistics {
  float mean;
  float rstd;
};

// Of a row whose sum, squares or variance are beyond the range of f32.
template <class T>
Statistics statistics_in_f64(const T* x, std::int64_t channels, float eps) {
  const auto count = static_cast<double>(channels);
  const double mean =
      sum_of_terms(0, channels, [=](Elems c, auto lanes) { return load_as_double(x + c, lanes); }) / count;
  const double variance = sum_of_terms(0, channels,
                                       [=](Elems c, auto lanes) {
                                         const DoubleVector centred =
                                             hn::Sub(load_as_double(x + c, lanes), hn::Set(Doubles{}, mean));
                                         return hn::Mul(centred, centred);
                                       }) /
                          count;
  return {static_cast<float>(mean), static_cast<float>(1 / std::sqrt(variance + double{eps}))};
}

// The variance is that of the centred row, whose squares do not cancel.
template <class T>
Statistics statistics(const T* x, std::int64_t channels, float eps) {
  constexpr float kLeast = 1e-30F;  // below it squares have lost digits
  const auto count = static_cast<float>(channels);
  const float mean = sum_over(channels, [=](Elems c, auto lanes) { return load(x + c, lanes); }) / count;
  const float variance = sum_over(channels,
                                  [=](Elems c, auto lanes) {
                                    const FloatVector centred = hn::Sub(load(x + c, lanes), splat(mean));
                                    return hn::Mul(centred, centred);
                                  }) /
                         count;
  if (!(kLeast <= variance + eps && variance + eps <= std::numeric_limits<float>::max())) {
    return statistics_in_f64(x, channels, eps);
  }
  return {mean, 1 / std::sqrt(variance + eps)};
}

// What makes xhat = (x - mean) rstd of a row. Where the row is so wide that a difference may be beyond f32, halves of x
// and mean are subtracted; else the factor of 1 changes no bit.
struct Normaliser {
  float factor;
  float mean;
  float rstd;

  explicit Normaliser(const Statistics& row)
      : factor(row.rstd < 1e-25F ? 0.5F : 1), mean(factor * row.mean), rstd(row.rstd / factor) {}

  template <class T>
  HWY_INLINE FloatVector xhat(const T* x, auto lanes) const {
    return hn::Mul(hn::MulSub(load(x, lanes), splat(factor), splat(mean)), splat(rstd));
  }
};

template <class T>
void normalise(const T* x, const T* gamma, const T* beta, const Statistics& statistics, T* y, std::int64_t channels) {
  const Normaliser row(statistics);
  for_each_vector(0, channels, [=](Elems c, auto lanes) {
    store(hn::MulAdd(row.xhat(x + c, lanes), load(gamma + c, lanes), load(beta + c, lanes)), y + c, lanes);
  });
}

template <class T>
void forward(Machine& machine, const LayerNormForward& kernel) {
  const std::int64_t channels = kernel.channels;
  parallel_for(machine, kernel.rows, [&](std::int64_t row) {
    const T* x = static_cast<const T*>(kernel.x) + row * channels;
    if (!kernel.reuse_statistics) {
      const auto [mean, rstd] = statistics(x, channels, kernel.eps);
      kernel.mean[row] = mean;
      kernel.rstd[row] = rstd;
    }
    normalise(x, static_cast<const T*>(kernel.gamma), static_cast<const T*>(kernel.beta),
              {kernel.mean[row], kernel.rstd[row]}, static_cast<T*>(kernel.y) + row * channels, channels);
  });
}

// One row's gradient. With g = dy gamma: dx = rstd (g - mean(g) - xhat mean(g xhat)).
template <class T>
void input_gradient(const T* x, const T* gamma, const T* dy, const Statistics& statistics, T* dx, std::int64_t channels,
                    bool accumulate) {
  const Normaliser row(statistics);
  const auto count = static_cast<float>(channels);
  const float mean_g =
      sum_over(channels, [=](Elems c, auto lanes) { return hn::Mul(load(dy + c, lanes), load(gamma + c, lanes)); }) /
      count;
  const float mean_g_xhat = sum_over(channels,
                                     [=](Elems c, auto lanes) {
                                       const FloatVector g = hn::Mul(load(dy + c, lanes), load(gamma + c, lanes));
                                       return hn::Mul(g, row.xhat(x + c, lanes));
                                     }) /
                            count;
  for_each_vector(0, channels, [=](Elems c, auto lanes) {
    const FloatVector xhat = row.xhat(x + c, lanes);
    const FloatVector g = hn::Mul(load(dy + c, lanes), load(gamma + c, lanes));
    const FloatVector centred = hn::NegMulAdd(xhat, splat(mean_g_xhat), hn::Sub(g, splat(mean_g)));
    const FloatVector before = accumulate ? load(dx + c, lanes) : splat(0);
    store(hn::MulAdd(centred, splat(statistics.rstd), before), dx + c, lanes);
  });
}

template <class T>
void add_parameter_gradients(const T* x, const T* dy, const Statistics& statistics, std::int64_t channels,
                             float* dgamma, float* dbeta) {
  const Normaliser row(statistics);
  for_each_vector(0, channels, [=](Elems c, auto lanes) {
    const FloatVector dy_c = load(dy + c, lanes);
    store(hn::MulAdd(dy_c, row.xhat(x + c, lanes), load(dgamma + c, lanes)), dgamma + c, lanes);
    store(hn::Add(load(dbeta + c, lanes), dy_c), dbeta + c, lanes);
  });
}

template <class T>
void backward_rows(const LayerNormBackward& kernel, std::int64_t begin, std::int64_t end, float* dgamma, float* dbeta) {
  const std::int64_t channels = kernel.channels;
  for (std::int64_t row = begin; row < end; ++row) {
    const T* x = static_cast<const T*>(kernel.x) + row * channels;
    const T* dy = static_cast<const T*>(kernel.dy) + row * channels;
    const Statistics statistics{kernel.mean[row], kernel.rstd[row]};
    if (dgamma != nullptr) {
      add_parameter_gradients(x, dy, statistics, channels, dgamma, dbeta);
    }
    input_gradient(x, static_cast<const T*>(kernel.gamma), dy, statistics, static_cast<T*>(kernel.dx) + row * channels,
                   channels, kernel.accumulate_dx);
  }
}

}  // namespace

void run(Machine& machine, const LayerNormForward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) { forward<T>(machine, kernel); });
}

Bytes workspace_bytes(Machine& /*machine*/, const LayerNormBackward& kernel) {
  return kernel.dgamma == nullptr ? 0 : 2 * partial_sums_bytes(kernel.rows, kernel.channels);
}

void run(Machine& machine, const LayerNormBackward& kernel) {
  const Blocks blocks = row_blocks(kernel.rows);
  const std::int64_t channels = kernel.channels;
  const bool with_parameters = kernel.dgamma != nullptr;
  auto* dgamma_sums = static_cast<float*>(kernel.workspace);
  float* dbeta_sums = with_parameters ? dgamma_sums + blocks.count() * channels : nullptr;
  parallel_for(machine, blocks.count(), [&](std::int64_t block) {
    float* dgamma = with_parameters ? dgamma_sums + block * channels : nullptr;
    float* dbeta = with_parameters ? dbeta_sums + block * channels : nullptr;
    if (with_parameters) {
      std::fill_n(dgamma, channels, 0.0F);
      std::fill_n(dbeta, channels, 0.0F);
    }
    dispatch(kernel.dtype,
             [&]<class T>(T) { backward_rows<T>(kernel, blocks.begin(block), blocks.end(block), dgamma, dbeta); });
  });
  if (with_parameters) {
    combine(machine, dgamma_sums, blocks.count(), channels, kernel.dgamma, kernel.accumulate_dgamma);
    combine(machine, dbeta_sums, blocks.count(), channels, kernel.dbeta, kernel.accumulate_dbeta);
  }
}

template void run_kernel(Machine&, const LayerNormForward&);
template Bytes workspace_of_kernel(Machine&, const LayerNormBackward&);
template void run_kernel(Machine&, const LayerNormBackward&);

}  // namespace retape::nn::cpu
