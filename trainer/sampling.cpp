#include "trainer/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/base/error.h"
#include "trainer/model_weights.h"

namespace retape::trainer {
namespace {

// A token with the probabilities of softmax(logits / temperature) among the top k; `uniform` is in [0, 1).
std::int32_t draw(const std::vector<float>& logits, const SamplingOptions& options, double uniform) {
  // A comparison with what is no number is no order.
  const auto odd = std::find_if_not(logits.begin(), logits.end(), [](float logit) { return std::isfinite(logit); });
  require<DataError>(odd == logits.end(), "[sample] logits: expected finite numbers, got {} for token {}",
                     odd == logits.end() ? 0 : *odd, odd - logits.begin());
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto by_logit = [&logits](std::int32_t a, std::int32_t b) {
    const float left = logits[static_cast<std::size_t>(a)];
    const float right = logits[static_cast<std::size_t>(b)];
    return left > right || (left == right && a < b);
  };
  const auto vocab = static_cast<std::int64_t>(logits.size());
  const std::int64_t kept = options.top_k > 0 ? std::min(options.top_k, vocab) : vocab;
  std::partial_sort(order.begin(), order.begin() + kept, order.end(), by_logit);
  if (options.temperature == 0) {
    return order.front();
  }
  const double top = logits[static_cast<std::size_t>(order.front())];
  std::vector<double> weights;
  for (std::int64_t i = 0; i < kept; ++i) {
    const double logit = logits[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
    weights.push_back(std::exp((logit - top) / options.temperature));
  }
  double left = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  std::size_t chosen = 0;
  while (chosen + 1 < weights.size() && left >= weights[chosen]) {
    left -= weights[chosen];
    ++chosen;
  }
  return order[chosen];
}

}  // namespace

std::vector<std::int32_t> sample(nn::Context& context, Gpt& model, std::vector<std::int32_t> prompt,
                                 const SamplingOptions& options) {
  require<ConfigError>(!prompt.empty(), "[sample] prompt: expected at least one token, got none");
  require<ConfigError>(options.tokens >= 0, "[sample] tokens: expected 0 or more, got {}", options.tokens);
  require<ConfigError>(options.top_k >= 0, "[sample] top_k: expected 0 or more, got {}", options.top_k);
  require<ConfigError>(options.temperature >= 0 && std::isfinite(options.temperature),
                       "[sample] temperature: expected 0 or more, got {}", options.temperature);
  require<ConfigError>(options.vocab <= model.shape().vocab, "[sample] vocab: expected at most {}, got {}",
                       model.shape().vocab, options.vocab);
  require_finite(model);
  model.set_training(false);
  const nn::RngRange rng{.seed = options.seed, .offset = 0};
  std::vector<std::int32_t> text = std::move(prompt);
  const std::size_t prompt_length = text.size();
  for (std::int64_t i = 0; i < options.tokens; ++i) {
    const auto length = std::min(static_cast<std::int64_t>(text.size()), model.shape().seq_len);
    nn::Tensor tokens(context.device(), nn::Shape{1, length}, nn::DType::i32, nn::Tag::activations);
    tokens.from_host(std::span<const std::int32_t>(text).last(static_cast<std::size_t>(length)));
    std::vector<float> logits = model.next_logits(context, tokens).to_host<float>();
    if (options.vocab > 0) {
      logits.resize(static_cast<std::size_t>(options.vocab));
    }
    text.push_back(draw(logits, options, rng.bits(i) * 0x1p-32));
  }
  text.erase(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(prompt_length));
  return text;
}

}  // namespace retape::trainer
