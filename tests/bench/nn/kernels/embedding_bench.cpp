#include "nn/kernels/embedding.h"

#include "tests/bench/nn/kernels/measure.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

constexpr std::int32_t kVocab = 50257;
constexpr std::int64_t kSeqLen = 256;

template <class T>
void embedding_forward(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto tokens = testing::random_indices(state.range(0), 1, kVocab);
  const std::vector<T> table(static_cast<std::size_t>(kVocab * state.range(1)));
  std::vector<T> out(static_cast<std::size_t>(elems));
  const EmbeddingForward kernel{.tokens = tokens.data(),
                                .token_table = table.data(),
                                .position_table = table.data(),
                                .out = out.data(),
                                .batch = state.range(0) / kSeqLen,
                                .seq_len = kSeqLen,
                                .channels = state.range(1),
                                .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * 3 * size_of(kDTypeOf<T>));
}

template <class T>
void embedding_backward(benchmark::State& state) {
  const Elems elems = state.range(0) * state.range(1);
  const auto tokens = testing::random_indices(state.range(0), 1, kVocab);
  const std::vector<T> dout(static_cast<std::size_t>(elems));
  std::vector<float> dtoken_table(static_cast<std::size_t>(kVocab * state.range(1)));
  std::vector<float> dposition_table(static_cast<std::size_t>(kSeqLen * state.range(1)));
  const EmbeddingBackward kernel{.tokens = tokens.data(),
                                 .dout = dout.data(),
                                 .dtoken_table = dtoken_table.data(),
                                 .dposition_table = dposition_table.data(),
                                 .batch = state.range(0) / kSeqLen,
                                 .seq_len = kSeqLen,
                                 .channels = state.range(1),
                                 .dtype = kDTypeOf<T>};
  measure(state, kernel, elems * (4 * size_of(DType::f32) + size_of(kDTypeOf<T>)));
}

BENCHMARK(embedding_forward<float>)->Apply(model_shapes);
BENCHMARK(embedding_forward<bf16>)->Apply(model_shapes);
BENCHMARK(embedding_backward<float>)->Apply(model_shapes);
BENCHMARK(embedding_backward<bf16>)->Apply(model_shapes);

}  // namespace
}  // namespace retape::nn
