#include "nn/kernels/dropout.h"

#include <array>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/random_bits.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

// Elements whose bits are drawn in one go: they stay in the innermost cache.
constexpr Elems kDrawn = 1024;
using Bits = std::array<std::uint32_t, kDrawn>;
static_assert(kDrawn % kRandomBitsStep == 0);

struct Mask {
  float p;
  RngRange rng;
};

// x / (1 - p) where the element is kept, else zero.
HWY_INLINE FloatVector masked(FloatVector x, float growth, std::uint32_t threshold, const std::uint32_t* bits) {
  const FloatBits d;
  const auto dropped = hn::Lt(hn::LoadU(d, bits), hn::Set(d, threshold));
  return hn::IfThenZeroElse(hn::RebindMask(Floats{}, dropped), hn::Mul(x, splat(growth)));
}

// out = addend + masked x for [begin, end).
template <class T, class Addend>
void drop(const T* x, Addend addend, T* out, const Mask& mask, Elems begin, Elems end) {
  const std::uint32_t threshold = drop_threshold(mask.p);
  const auto growth = static_cast<float>(1 / (1 - double{mask.p}));
  Bits bits;
  for (Elems first = begin; first < end; first += kDrawn) {
    const Elems count = std::min(kDrawn, end - first);
    random_bits(mask.rng, first, count, bits.data());
    for_each_vector(0, count, [&](Elems i, auto lanes) {
      const FloatVector kept = masked(load(x + first + i, lanes), growth, threshold, bits.data() + i);
      store(hn::Add(kept, addend(first + i, lanes)), out + first + i, lanes);
    });
  }
}

template <class T, class Addend>
void drop_and_add(Machine& machine, const void* x, Addend addend, void* out, Elems elems, const Mask& mask) {
  const auto* from = static_cast<const T*>(x);
  auto* to = static_cast<T*>(out);
  for_each_chunk(machine, elems, [=](Elems begin, Elems end) {
    if (mask.p > 0) {
      drop(from, addend, to, mask, begin, end);
    } else {
      for_each_vector(begin, end, [=](Elems i, auto lanes) {
        store(hn::Add(load(from + i, lanes), addend(i, lanes)), to + i, lanes);
      });
    }
  });
}

// out = masked x + (addend or nothing).
template <class T>
void drop_and_add(Machine& machine, const void* x, const void* addend, void* out, Elems elems, const Mask& mask) {
  if (addend != nullptr) {
    const auto* added = static_cast<const T*>(addend);
    drop_and_add<T>(
        machine, x, [=](Elems i, auto lanes) { return load(added + i, lanes); }, out, elems, mask);
  } else {
    drop_and_add<T>(
        machine, x, [](Elems, auto) { return splat(0); }, out, elems, mask);
  }
}

}  // namespace

void run(Machine& machine, const DropoutResidualForward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) {
    drop_and_add<T>(machine, kernel.x, kernel.residual, kernel.out, kernel.elems, Mask{kernel.p, kernel.rng});
  });
}

void run(Machine& machine, const DropoutBackward& kernel) {
  const void* before = kernel.accumulate ? kernel.dx : nullptr;
  dispatch(kernel.dtype, [&]<class T>(T) {
    drop_and_add<T>(machine, kernel.dout, before, kernel.dx, kernel.elems, Mask{kernel.p, kernel.rng});
  });
}

template void run_kernel(Machine&, const DropoutResidualForward&);
template void run_kernel(Machine&, const DropoutBackward&);

}  // namespace retape::nn::cpu
