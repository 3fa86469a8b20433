#include "trainer/gpt.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

namespace retape::trainer {
namespace {

using testing::Each;

constexpr std::int64_t kLayers = 8;

// Large enough for each matrix to show its distribution.
class GptWeights : public testing::Test {
 protected:
  GptWeights() { model_.initialise(context_, 1); }

  std::vector<std::vector<float>> weights() const {
    std::vector<std::vector<float>> all;
    for (const nn::Parameter* parameter : model_.parameters()) {
      all.push_back(parameter->weight().to_host<float>());
    }
    return all;
  }

  nn::Context& context() { return context_; }
  Gpt& model() { return model_; }

 private:
  nn::Device device_{{.kind = nn::DeviceKind::cpu, .threads = 1}};
  nn::Context context_{device_};
  Gpt model_{
      device_,
      {.layers = kLayers, .heads = 4, .dim = 64, .seq_len = 64, .vocab = 500, .dropout = 0, .tie_embeddings = false}};
};

// Mean, deviation and shape of N(0, stddev), each within five standard errors of a sample of this size.
void expect_normal(const std::vector<float>& values, double stddev) {
  const auto count = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  const double square = std::inner_product(values.begin(), values.end(), values.begin(), 0.0) / count;
  const auto is_near = [stddev](float value) { return std::abs(value) < stddev; };
  const double share_near = static_cast<double>(std::count_if(values.begin(), values.end(), is_near)) / count;
  constexpr double kShareNear = 0.6827;  // of a normal distribution, within one deviation of the mean
  constexpr double kErrors = 5;
  EXPECT_NEAR(mean, 0, kErrors * stddev / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(square), stddev, kErrors * stddev / std::sqrt(2 * count));
  EXPECT_NEAR(share_near, kShareNear, kErrors * std::sqrt(kShareNear * (1 - kShareNear) / count));
}

TEST_F(GptWeights, StartAsThoseOfGpt2) {
  const double residual = 0.02 / std::sqrt(2.0 * kLayers);
  std::int64_t residual_projections = 0;
  const std::vector<std::vector<float>> all = weights();
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string& name = model().parameters()[i]->name();
    SCOPED_TRACE(name);
    if (name.ends_with(".bias")) {
      EXPECT_THAT(all[i], Each(0.0F));
    } else if (name.find(".ln_") != std::string::npos) {
      EXPECT_THAT(all[i], Each(1.0F));
    } else if (name.ends_with(".attn.c_proj.weight") || name.ends_with(".mlp.c_proj.weight")) {
      expect_normal(all[i], residual);
      ++residual_projections;
    } else {
      expect_normal(all[i], 0.02);
    }
  }
  EXPECT_EQ(residual_projections, 2 * kLayers);
}

TEST_F(GptWeights, FollowTheSeed) {
  const std::vector<std::vector<float>> first = weights();
  model().initialise(context(), 2);
  EXPECT_NE(weights(), first);
  model().initialise(context(), 1);
  EXPECT_EQ(weights(), first);
}

}  // namespace
}  // namespace retape::trainer
