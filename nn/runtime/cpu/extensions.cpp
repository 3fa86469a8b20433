#include "nn/runtime/cpu/extensions.h"

#include <string_view>
#include <vector>

#include "nn/base/error.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

namespace retape::nn::cpu {
namespace {

struct Known {
  Extension extension;
  std::string_view name;
  bool present;
};

#ifdef __x86_64__
// Clang 14 does not know its name. Whether the system saves its registers is a question of avx512f.
bool has_avx512fp16() {
  constexpr unsigned kAvx512Fp16 = 1U << 23;
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAvx512Fp16) != 0;
}

std::vector<Known> all_known() {
  return {
      {kSse42, "sse4.2", __builtin_cpu_supports("sse4.2") != 0},
      {kAvx, "avx", __builtin_cpu_supports("avx") != 0},
      {kAvx2, "avx2", __builtin_cpu_supports("avx2") != 0},
      {kFma, "fma", __builtin_cpu_supports("fma") != 0},
      {kBmi, "bmi", __builtin_cpu_supports("bmi") != 0},
      {kBmi2, "bmi2", __builtin_cpu_supports("bmi2") != 0},
      {kAvx512f, "avx512f", __builtin_cpu_supports("avx512f") != 0},
      {kAvx512cd, "avx512cd", __builtin_cpu_supports("avx512cd") != 0},
      {kAvx512bw, "avx512bw", __builtin_cpu_supports("avx512bw") != 0},
      {kAvx512dq, "avx512dq", __builtin_cpu_supports("avx512dq") != 0},
      {kAvx512vl, "avx512vl", __builtin_cpu_supports("avx512vl") != 0},
      {kAvx512ifma, "avx512ifma", __builtin_cpu_supports("avx512ifma") != 0},
      {kAvx512vbmi, "avx512vbmi", __builtin_cpu_supports("avx512vbmi") != 0},
      {kAvx512vbmi2, "avx512vbmi2", __builtin_cpu_supports("avx512vbmi2") != 0},
      {kAvx512vnni, "avx512vnni", __builtin_cpu_supports("avx512vnni") != 0},
      {kAvx512bitalg, "avx512bitalg", __builtin_cpu_supports("avx512bitalg") != 0},
      {kAvx512vpopcntdq, "avx512vpopcntdq", __builtin_cpu_supports("avx512vpopcntdq") != 0},
      {kAvx512bf16, "avx512bf16", __builtin_cpu_supports("avx512bf16") != 0},
      {kAvx512fp16, "avx512fp16", has_avx512fp16()},
      {kGfni, "gfni", __builtin_cpu_supports("gfni") != 0},
  };
}
#else
std::vector<Known> all_known() {
  return {};
}
#endif

}  // namespace

Extensions extensions_of_processor() {
  Extensions extensions = 0;
  for (const Known& known : all_known()) {
    if (known.present) {
      extensions |= known.extension;
    }
  }
  return extensions;
}

void require_extensions(Extensions needed, Extensions present) {
  for (const Known& known : all_known()) {
    require<DeviceError>((needed & ~present & known.extension) == 0,
                         "[cpu] kernels: expected a processor with {}, which they were compiled for, got one without; "
                         "rebuild on this machine",
                         known.name);
  }
}

}  // namespace retape::nn::cpu
