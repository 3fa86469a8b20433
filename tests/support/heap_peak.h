// How much memory a piece of code takes from the heap at most. Replaces operator new and delete of the program, so one
// source of a program includes it.
#pragma once

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace retape {

class HeapPeak {
 public:
  HeapPeak() : before_(held) { peak = held.load(); }

  // Beyond what was held when this was made.
  std::size_t bytes() const { return peak - before_; }

  static void* allocate(std::size_t size) {
    void* block = std::malloc(size);
    if (block == nullptr) {
      throw std::bad_alloc();
    }
    const std::size_t now = held += malloc_usable_size(block);
    for (std::size_t most = peak; now > most && !peak.compare_exchange_weak(most, now);) {
    }
    return block;
  }

  static void release(void* block) noexcept {
    held -= malloc_usable_size(block);
    std::free(block);
  }

 private:
  static inline std::atomic<std::size_t> held = 0;  // operator new has no object that it could belong to
  static inline std::atomic<std::size_t> peak = 0;

  std::size_t before_;
};

}  // namespace retape

void* operator new(std::size_t size) {
  return retape::HeapPeak::allocate(size);
}
// The sanitizers have a pair of their own for it otherwise, of which only the half that deletes would be ours.
void* operator new(std::size_t size, const std::nothrow_t& /*tag*/) noexcept {
  try {
    return retape::HeapPeak::allocate(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* block) noexcept {
  retape::HeapPeak::release(block);
}
void operator delete(void* block, std::size_t) noexcept {
  retape::HeapPeak::release(block);
}
