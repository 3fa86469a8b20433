// Arrays of random numbers.
#pragma once

#include "nn/base/units.h"
#include "nn/runtime/philox.h"

namespace retape::nn {

// out[e] is normal with mean 0: stddev sqrt(-2 log u) cos(2 pi v) with u = (bits(2e) + 1) / 2^32 and
// v = bits(2e + 1) / 2^32 of the range, in f64, rounded once (Box and Muller 1958).
struct NormalFill {
  float* out = nullptr;  // [elems]
  Elems elems = 0;
  double stddev = 1;
  RngRange rng;
};

}  // namespace retape::nn
