// How fast this machine multiplies matrices: what "share of peak" is a share of.
#pragma once

#include "nn/tensor/dtype.h"
#include "trainer/config.h"

namespace retape::trainer {

// FLOP/s of the best of a few products of 1024 x 1024 matrices with the run's threads; takes a fraction of a second.
double measure_peak_flops(int threads, nn::DType dtype);

}  // namespace retape::trainer
