// The instructions that kernels were compiled for, and those that this processor has.
//
// Kernels are compiled for the machine that builds them. On another one, an instruction that it does not have would end
// the process without a word.
#pragma once

#include <cstdint>

namespace retape::nn::cpu {

// What compilers use by themselves of the extensions of x86-64. AMX is not among it: its kernels ask for it. Of other
// processors nothing is known, and nothing checked.
enum Extension : std::uint32_t {
  kSse42 = 1U << 0,
  kAvx = 1U << 1,
  kAvx2 = 1U << 2,
  kFma = 1U << 3,
  kBmi = 1U << 4,
  kBmi2 = 1U << 5,
  kAvx512f = 1U << 6,
  kAvx512cd = 1U << 7,
  kAvx512bw = 1U << 8,
  kAvx512dq = 1U << 9,
  kAvx512vl = 1U << 10,
  kAvx512ifma = 1U << 11,
  kAvx512vbmi = 1U << 12,
  kAvx512vbmi2 = 1U << 13,
  kAvx512vnni = 1U << 14,
  kAvx512bitalg = 1U << 15,
  kAvx512vpopcntdq = 1U << 16,
  kAvx512bf16 = 1U << 17,
  kAvx512fp16 = 1U << 18,
  kGfni = 1U << 19,
};
using Extensions = std::uint32_t;  // a sum of them

// A constant: calling it uses none of them.
Extensions extensions_of_kernels();
// What the processor and its system let this process use.
Extensions extensions_of_processor();

// Throws DeviceError, in one line that names the first extension which is needed and not present.
void require_extensions(Extensions needed, Extensions present);

}  // namespace retape::nn::cpu
