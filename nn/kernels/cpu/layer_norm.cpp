#include "nn/kernels/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

struct Statistics {
  float mean;
  float rstd;
};

// The sum of term(i, lanes) over [0, count) in two chains; lanes past the end are ignored.
template <class Term>
HWY_INLINE float sum_over(std::int64_t count, Term term) {
  const Elems step = lane_count();
  const Elems paired = count / (2 * step) * (2 * step);
  FloatVector even = splat(0);
  FloatVector odd = splat(0);
  for (Elems i = 0; i < paired; i += 2 * step) {
    even = hn::Add(even, term(i, AllLanes{}));
    odd = hn::Add(odd, term(i + step, AllLanes{}));
  }
  for_each_vector(paired, count,
                  [&](Elems i, auto lanes) { even = hn::Add(even, with_rest(term(i, lanes), 0, lanes)); });
  return sum_of_lanes(hn::Add(even, odd));
}

// The variance is that of the centred row, whose squares do not cancel.
template <class T>
Statistics statistics(const T* x, std::int64_t channels, float eps) {
  const auto count = static_cast<float>(channels);
  const float mean = sum_over(channels, [=](Elems c, auto lanes) { return load(x + c, lanes); }) / count;
  const float variance = sum_over(channels,
                                  [=](Elems c, auto lanes) {
                                    const FloatVector centred = hn::Sub(load(x + c, lanes), splat(mean));
                                    return hn::Mul(centred, centred);
                                  }) /
                         count;
  return {mean, 1 / std::sqrt(variance + eps)};
}

template <class T>
HWY_INLINE FloatVector normalised(const T* x, const Statistics& row, auto lanes) {
  return hn::Mul(hn::Sub(load(x, lanes), splat(row.mean)), splat(row.rstd));
}

template <class T>
void normalise(const T* x, const T* gamma, const T* beta, Statistics row, T* y, std::int64_t channels) {
  for_each_vector(0, channels, [=](Elems c, auto lanes) {
    store(hn::MulAdd(normalised(x + c, row, lanes), load(gamma + c, lanes), load(beta + c, lanes)), y + c, lanes);
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
void input_gradient(const T* x, const T* gamma, const T* dy, Statistics row, T* dx, std::int64_t channels,
                    bool accumulate) {
  const auto count = static_cast<float>(channels);
  const float mean_g =
      sum_over(channels, [=](Elems c, auto lanes) { return hn::Mul(load(dy + c, lanes), load(gamma + c, lanes)); }) /
      count;
  const float mean_g_xhat = sum_over(channels,
                                     [=](Elems c, auto lanes) {
                                       const FloatVector g = hn::Mul(load(dy + c, lanes), load(gamma + c, lanes));
                                       return hn::Mul(g, normalised(x + c, row, lanes));
                                     }) /
                            count;
  for_each_vector(0, channels, [=](Elems c, auto lanes) {
    const FloatVector xhat = normalised(x + c, row, lanes);
    const FloatVector g = hn::Mul(load(dy + c, lanes), load(gamma + c, lanes));
    const FloatVector centred = hn::NegMulAdd(xhat, splat(mean_g_xhat), hn::Sub(g, splat(mean_g)));
    const FloatVector before = accumulate ? load(dx + c, lanes) : splat(0);
    store(hn::MulAdd(centred, splat(row.rstd), before), dx + c, lanes);
  });
}

template <class T>
void add_parameter_gradients(const T* x, const T* dy, Statistics row, std::int64_t channels, float* dgamma,
                             float* dbeta) {
  for_each_vector(0, channels, [=](Elems c, auto lanes) {
    const FloatVector dy_c = load(dy + c, lanes);
    store(hn::MulAdd(dy_c, normalised(x + c, row, lanes), load(dgamma + c, lanes)), dgamma + c, lanes);
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

}  // namespace retape::nn::cpu
