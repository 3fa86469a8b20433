#include "trainer/sampling.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <span>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"
#include "trainer/model_weights.h"

namespace retape::trainer {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Lt;
using testing::SizeIs;
using testing::ThrowsMessage;

using Tokens = std::vector<std::int32_t>;

// A model of random weights: no token is much likelier than another.
class Sampling : public testing::Test {
 protected:
  static constexpr std::int64_t kSeqLen = 8;
  static constexpr std::int64_t kVocab = 37;

  Sampling() { model_.initialise(context_, 3); }

  Tokens draw(const SamplingOptions& options) { return sample(context_, model_, prompt_, options); }

  // The first token after the prompt with each of many seeds.
  std::set<std::int32_t> first_draws(SamplingOptions options) {
    constexpr std::uint64_t kSeeds = 400;
    options.tokens = 1;
    std::set<std::int32_t> drawn;
    for (options.seed = 0; options.seed < kSeeds; ++options.seed) {
      drawn.insert(draw(options).front());
    }
    return drawn;
  }

  // All tokens in the order of their logits after this text, the likeliest first.
  Tokens by_likelihood(const Tokens& text) {
    const std::int64_t length = std::min(static_cast<std::int64_t>(text.size()), kSeqLen);
    nn::Tensor tokens(device_, nn::Shape{1, length}, nn::DType::i32, nn::Tag::activations);
    tokens.from_host(std::span<const std::int32_t>(text).last(static_cast<std::size_t>(length)));
    const std::vector<float> logits = model_.next_logits(context_, tokens).to_host<float>();
    Tokens order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
    });
    return order;
  }

  const Tokens& prompt() const { return prompt_; }
  const Gpt& model() const { return model_; }

  // Gives all values of a parameter this one.
  void fill(std::string_view name, float value) {
    for (nn::Parameter* parameter : model_.parameters()) {
      if (parameter->name() == name) {
        parameter->load(context_, std::vector<float>(static_cast<std::size_t>(parameter->elems()), value));
      }
    }
  }

 private:
  const Tokens prompt_{1, 2, 3};
  nn::Device device_{{.kind = nn::DeviceKind::cpu, .threads = 1}};
  nn::Context context_{device_};
  Gpt model_{device_, {.layers = 1, .heads = 2, .dim = 16, .seq_len = kSeqLen, .vocab = kVocab}};
};

TEST_F(Sampling, TakesTheLikeliestAtTemperatureZero) {
  const Tokens drawn = draw({.tokens = 12, .temperature = 0});  // longer than the model's positions
  ASSERT_THAT(drawn, SizeIs(12));
  Tokens text = prompt();
  for (const std::int32_t token : drawn) {
    EXPECT_EQ(token, by_likelihood(text).front());
    text.push_back(token);
  }
}

TEST_F(Sampling, DrawsAmongTheKLikeliest) {
  const Tokens order = by_likelihood(prompt());
  for (const std::int64_t k : {1, 2, 5}) {
    EXPECT_EQ(first_draws({.temperature = 1, .top_k = k}), std::set<std::int32_t>(order.begin(), order.begin() + k));
  }
  const std::set<std::int32_t> all = first_draws({.temperature = 1, .top_k = 0});
  EXPECT_GT(all.size(), 30U);
  EXPECT_EQ(first_draws({.temperature = 1, .top_k = kVocab + 1}), all);
}

TEST_F(Sampling, DrawsTheSameWithTheSameSeed) {
  const Tokens drawn = draw({.tokens = 20, .temperature = 1, .seed = 5});
  EXPECT_EQ(draw({.tokens = 20, .temperature = 1, .seed = 5}), drawn);
  EXPECT_NE(draw({.tokens = 20, .temperature = 1, .seed = 6}), drawn);
}

TEST_F(Sampling, DrawsOnlyWhatTheTokenizerKnows) {
  EXPECT_THAT(draw({.tokens = 50, .temperature = 5, .vocab = 10}), Each(Lt(10)));
}

TEST_F(Sampling, RefusesWeightsThatAreNotFinite) {
  for (const float value : {std::nanf(""), -INFINITY}) {
    fill("transformer.h.0.ln_2.bias", value);
    const auto refused =
        ThrowsMessage<DataError>(HasSubstr("[weights] transformer.h.0.ln_2.bias: expected finite numbers, got "));
    EXPECT_THAT([this] { draw({.tokens = 1}); }, refused);
    const TempDir dir;
    EXPECT_THAT([&] { export_weights(dir / "weights", model()); }, refused);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  }
}

TEST_F(Sampling, RefusesLogitsThatAreNotFinite) {
  fill("transformer.ln_f.bias", 3e38F);
  fill("transformer.wte.weight", 3e38F);
  EXPECT_THAT([this] { draw({.tokens = 1}); },
              ThrowsMessage<DataError>(HasSubstr("[sample] logits: expected finite numbers, got ")));
}

TEST_F(Sampling, RefusesOptionsOutOfRange) {
  const auto expect_refused = [this](const SamplingOptions& options, const char* message) {
    EXPECT_THAT([&] { draw(options); }, ThrowsMessage<ConfigError>(HasSubstr(message)));
  };
  expect_refused({.tokens = -1}, "[sample] tokens: expected 0 or more, got -1");
  expect_refused({.top_k = -1}, "[sample] top_k: expected 0 or more, got -1");
  expect_refused({.temperature = -1}, "[sample] temperature: expected 0 or more, got -1");
  expect_refused({.temperature = std::nan("")}, "[sample] temperature");
  expect_refused({.vocab = kVocab + 1}, "[sample] vocab: expected at most 37, got 38");
  EXPECT_THAT(draw({.tokens = 0}), IsEmpty());
}

}  // namespace
}  // namespace retape::trainer
