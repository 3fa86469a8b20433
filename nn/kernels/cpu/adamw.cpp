#include "nn/kernels/adamw.h"

#include <cmath>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

void update(const AdamWUpdate& kernel, float scale, Elems begin, Elems end) {
  const FloatVector gradient_scale = splat(scale);
  const FloatVector take1 = splat(1 - kernel.beta1);
  const FloatVector beta2 = splat(kernel.beta2);
  const FloatVector take2 = splat(1 - kernel.beta2);
  const FloatVector eps = splat(kernel.eps);
  const FloatVector minus_step = splat(static_cast<float>(-double{kernel.lr} / double{kernel.bias_correction1}));
  const FloatVector root_scale = splat(static_cast<float>(1 / std::sqrt(double{kernel.bias_correction2})));
  const FloatVector minus_decay = splat(static_cast<float>(-double{kernel.lr} * double{kernel.weight_decay}));
  float* const weight = kernel.weight;
  float* const first_moment = kernel.first_moment;
  float* const second_moment = kernel.second_moment;
  const float* const gradient = kernel.gradient;
  bf16* const working = kernel.working;
  for_each_vector(begin, end, [=](Elems i, auto lanes) {
    const FloatVector g = hn::Mul(gradient_scale, load(gradient + i, lanes));
    const FloatVector m_before = load(first_moment + i, lanes);
    const FloatVector m = hn::MulAdd(take1, hn::Sub(g, m_before), m_before);
    const FloatVector v = hn::MulAdd(beta2, load(second_moment + i, lanes), hn::Mul(take2, hn::Mul(g, g)));
    const FloatVector direction = hn::Div(m, hn::MulAdd(hn::Sqrt(v), root_scale, eps));
    // What is added to w is small, so that only the last addition rounds where it matters.
    const FloatVector w_before = load(weight + i, lanes);
    const FloatVector change = hn::MulAdd(minus_step, direction, hn::Mul(minus_decay, w_before));
    const FloatVector w = hn::Add(w_before, change);
    store(m, first_moment + i, lanes);
    store(v, second_moment + i, lanes);
    store(w, weight + i, lanes);
    if (working != nullptr) {
      store(w, working + i, lanes);
    }
  });
}

}  // namespace

void run(Machine& machine, const AdamWUpdate& kernel) {
  const float scale = kernel.device_scale == nullptr ? kernel.scale : static_cast<float>(*kernel.device_scale);
  if (std::isfinite(scale)) {
    for_each_chunk(machine, kernel.elems, [&](Elems begin, Elems end) { update(kernel, scale, begin, end); });
  }
}

template void run_kernel(Machine&, const AdamWUpdate&);

}  // namespace retape::nn::cpu
