// Arrays of random numbers.
#pragma once

#include "nn/base/units.h"
#include "nn/runtime/philox.h"

namespace retape::nn {

namespace cpu {
class Machine;
}

// out[e] is normal with mean 0: Box-Muller of the bits of elements 2e and 2e + 1 of the range, in f64, rounded once.
struct NormalFill {
  float* out = nullptr;  // [elems]
  Elems elems = 0;
  double stddev = 1;
  RngRange rng;
};

namespace cpu {
void run(Machine& machine, const NormalFill& kernel);
}  // namespace cpu

}  // namespace retape::nn
