// Products of bf16 matrices on the tile registers of x86 processors with AMX, summed in f32.
//
// A tile register holds 16 rows of 64 bytes; one instruction multiplies a [16, 32] tile of bf16 by a [32, 16] one.
#pragma once

#include <cstdint>

#include "nn/tensor/dtype.h"

namespace retape::nn::cpu {

// Whether this build has the instructions, the processor too, and the kernel lets this process use their registers
// (it is asked to, once for all threads of the process; asking again does no harm).
bool amx_permitted();

// Rows and columns of a product come in multiples of this, and so does its depth.
inline constexpr std::int64_t kAmxBlock = 32;

// While it lives, the tile registers of this thread are set up for amx_product, and nobody else's: other libraries
// set them up in their own way, so it lives no longer than one kernel.
class AmxTiles {
 public:
  AmxTiles();
  ~AmxTiles();  // NOLINT(performance-trivially-destructible): it is not, where there are tiles
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;
};

// Rows are `stride` elements apart.
struct AmxLeft {
  const bf16* data;
  std::int64_t stride;
};

// A matrix [depth, cols] with its rows taken in pairs: element (k, n) is at data[k / 2 * stride + 2 * n + k % 2].
struct AmxRight {
  const bf16* data;
  std::int64_t stride;
};

// c [rows, cols] = a [rows, depth] b [depth, cols], or c += a b; rows of c are c_stride apart.
void amx_product(AmxLeft a, AmxRight b, float* c, std::int64_t c_stride, std::int64_t rows, std::int64_t cols,
                 std::int64_t depth, bool accumulate);

}  // namespace retape::nn::cpu
