#include "nn/kernels/embedding.h"

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

template <class T>
void add_rows(const T* a, const T* b, T* out, std::int64_t channels) {
  for_each_vector(0, channels,
                  [=](Elems c, auto lanes) { store(hn::Add(load(a + c, lanes), load(b + c, lanes)), out + c, lanes); });
}

template <class T>
void forward(Machine& machine, const EmbeddingForward& kernel) {
  const std::int64_t channels = kernel.channels;
  parallel_for(machine, kernel.batch * kernel.seq_len, [&](std::int64_t row) {
    add_rows(static_cast<const T*>(kernel.token_table) + kernel.tokens[row] * channels,
             static_cast<const T*>(kernel.position_table) + row % kernel.seq_len * channels,
             static_cast<T*>(kernel.out) + row * channels, channels);
  });
}

template <class T>
void add_to(float* sums, const T* row, std::int64_t begin, std::int64_t end) {
  for_each_vector(begin, end, [=](Elems c, auto lanes) {
    store(hn::Add(load(sums + c, lanes), load(row + c, lanes)), sums + c, lanes);
  });
}

// All rows in order, of the channels [begin, end): a table's element belongs to one thread, whatever the tokens are.
template <class T>
void backward_channels(const EmbeddingBackward& kernel, std::int64_t begin, std::int64_t end) {
  const std::int64_t channels = kernel.channels;
  for (std::int64_t row = 0; row < kernel.batch * kernel.seq_len; ++row) {
    const T* dout = static_cast<const T*>(kernel.dout) + row * channels;
    if (kernel.dtoken_table != nullptr) {
      add_to(kernel.dtoken_table + kernel.tokens[row] * channels, dout, begin, end);
    }
    if (kernel.dposition_table != nullptr) {
      add_to(kernel.dposition_table + row % kernel.seq_len * channels, dout, begin, end);
    }
  }
}

}  // namespace

void run(Machine& machine, const EmbeddingForward& kernel) {
  dispatch(kernel.dtype, [&]<class T>(T) { forward<T>(machine, kernel); });
}

void run(Machine& machine, const EmbeddingBackward& kernel) {
  constexpr std::int64_t kCacheLine = 16;
  const std::int64_t share = ceil_div(kernel.channels, machine.threads());
  const Blocks slices{kernel.channels, round_up(std::max<std::int64_t>(share, 1), kCacheLine)};
  dispatch(kernel.dtype, [&]<class T>(T) {
    parallel_for(machine, slices.count(),
                 [&](std::int64_t slice) { backward_channels<T>(kernel, slices.begin(slice), slices.end(slice)); });
  });
}

template void run_kernel(Machine&, const EmbeddingForward&);
template void run_kernel(Machine&, const EmbeddingBackward&);

}  // namespace retape::nn::cpu
