#include "nn/runtime/cpu/host_stream.h"

#include <cstring>

namespace retape::nn::cpu {

void HostStream::copy(void* to, const void* from, Bytes bytes) {
  if (bytes > 0) {  // of no bytes the pointers may be null, which memcpy does not take
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
}

void HostStream::fill_zero(void* memory, Bytes bytes) {
  if (bytes > 0) {
    std::memset(memory, 0, static_cast<std::size_t>(bytes));
  }
}

}  // namespace retape::nn::cpu
