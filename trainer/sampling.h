// Text from a model, token by token.
#pragma once

#include <cstdint>
#include <vector>

#include "trainer/gpt.h"

namespace retape::trainer {

struct SamplingOptions {
  std::int64_t tokens = 200;
  double temperature = 0.8;  // 0 takes the likeliest token each time
  std::int64_t top_k = 200;  // only among the k likeliest; 0: all
  std::uint64_t seed = 1;
  std::int64_t vocab = 0;  // ids that may be drawn, as a table may be longer than its tokenizer's; 0: all
};

// The tokens that follow `prompt`, which has at least one. Longer texts than the model's positions are cut at the left.
// Throws ConfigError for an empty prompt and for options out of range, DataError for weights or logits that are not
// finite.
std::vector<std::int32_t> sample(nn::Context& context, Gpt& model, std::vector<std::int32_t> prompt,
                                 const SamplingOptions& options);

}  // namespace retape::trainer
