// Compiled with the options of the kernels, unlike all else in nn/runtime; hence nothing here but a constant.
#include "nn/runtime/cpu/extensions.h"

namespace retape::nn::cpu {

Extensions extensions_of_kernels() {
  Extensions extensions = 0;
#ifdef __SSE4_2__
  extensions |= kSse42;
#endif
#ifdef __AVX__
  extensions |= kAvx;
#endif
#ifdef __AVX2__
  extensions |= kAvx2;
#endif
#ifdef __FMA__
  extensions |= kFma;
#endif
#ifdef __BMI__
  extensions |= kBmi;
#endif
#ifdef __BMI2__
  extensions |= kBmi2;
#endif
#ifdef __AVX512F__
  extensions |= kAvx512f;
#endif
#ifdef __AVX512CD__
  extensions |= kAvx512cd;
#endif
#ifdef __AVX512BW__
  extensions |= kAvx512bw;
#endif
#ifdef __AVX512DQ__
  extensions |= kAvx512dq;
#endif
#ifdef __AVX512VL__
  extensions |= kAvx512vl;
#endif
#ifdef __AVX512IFMA__
  extensions |= kAvx512ifma;
#endif
#ifdef __AVX512VBMI__
  extensions |= kAvx512vbmi;
#endif
#ifdef __AVX512VBMI2__
  extensions |= kAvx512vbmi2;
#endif
#ifdef __AVX512VNNI__
  extensions |= kAvx512vnni;
#endif
#ifdef __AVX512BITALG__
  extensions |= kAvx512bitalg;
#endif
#ifdef __AVX512VPOPCNTDQ__
  extensions |= kAvx512vpopcntdq;
#endif
#ifdef __AVX512BF16__
  extensions |= kAvx512bf16;
#endif
#ifdef __AVX512FP16__
  extensions |= kAvx512fp16;
#endif
#ifdef __GFNI__
  extensions |= kGfni;
#endif
  return extensions;
}

}  // namespace retape::nn::cpu
