#include "nn/kernels/cpu/amx_gemm.h"

#include "nn/base/error.h"

#if defined(__AMX_BF16__) && defined(__AMX_TILE__) && defined(__linux__)
#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace retape::nn::cpu {

namespace {

constexpr int kTileRows = 16;
constexpr int kTileBytes = 64;
constexpr std::int64_t kTileCols = 16;   // of f32
constexpr std::int64_t kTileDepth = 32;  // of bf16

// The layout that LDTILECFG reads.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t bytes_per_row[16] = {kTileBytes, kTileBytes, kTileBytes, kTileBytes,
                                     kTileBytes, kTileBytes, kTileBytes, kTileBytes};
  std::uint8_t rows[16] = {kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows};
};
static_assert(sizeof(TileConfig) == 64);

constexpr TileConfig kTileConfig;

}  // namespace

bool amx_permitted() {
  constexpr unsigned kAmxBf16 = 1U << 22;
  constexpr unsigned kAmxTile = 1U << 24;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kAmxBf16) == 0 || (edx & kAmxTile) == 0) {
    return false;
  }
  constexpr int kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

AmxTiles::AmxTiles() {
  _tile_loadconfig(&kTileConfig);
}

AmxTiles::~AmxTiles() {
  _tile_release();
}

// 2 x 2 tiles of c at a time, so that each tile of a and b that is loaded is used twice.
void amx_product(AmxLeft a, AmxRight b, float* c, std::int64_t c_stride, std::int64_t rows, std::int64_t cols,
                 std::int64_t depth, bool accumulate) {
  // The compiler does not know that tile loads read memory: what was written before must be there.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const std::int64_t a_bytes = a.stride * 2;
  const std::int64_t b_bytes = b.stride * 2;
  const std::int64_t c_bytes = c_stride * 4;
  for (std::int64_t row = 0; row < rows; row += 2 * kTileRows) {
    for (std::int64_t col = 0; col < cols; col += 2 * kTileCols) {
      float* c00 = c + row * c_stride + col;
      float* c10 = c00 + kTileRows * c_stride;
      if (accumulate) {
        _tile_loadd(0, c00, c_bytes);
        _tile_loadd(1, c00 + kTileCols, c_bytes);
        _tile_loadd(2, c10, c_bytes);
        _tile_loadd(3, c10 + kTileCols, c_bytes);
      } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      }
      const bf16* a0 = a.data + row * a.stride;
      const bf16* a1 = a0 + kTileRows * a.stride;
      const bf16* b0 = b.data + 2 * col;
      for (std::int64_t k = 0; k < depth; k += kTileDepth) {
        _tile_loadd(4, a0 + k, a_bytes);
        _tile_loadd(6, b0, b_bytes);
        _tile_loadd(7, b0 + 2 * kTileCols, b_bytes);
        _tile_loadd(5, a1 + k, a_bytes);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        b0 += kTileDepth / 2 * b.stride;
      }
      _tile_stored(0, c00, c_bytes);
      _tile_stored(1, c00 + kTileCols, c_bytes);
      _tile_stored(2, c10, c_bytes);
      _tile_stored(3, c10 + kTileCols, c_bytes);
    }
  }
}

}  // namespace retape::nn::cpu

#else

namespace retape::nn::cpu {

bool amx_permitted() {
  return false;
}

AmxTiles::AmxTiles() = default;
AmxTiles::~AmxTiles() = default;

void amx_product(AmxLeft, AmxRight, float*, std::int64_t, std::int64_t, std::int64_t, std::int64_t, bool) {
  fail<DeviceError>("[amx] product: this build has no AMX instructions");
}

}  // namespace retape::nn::cpu

#endif
