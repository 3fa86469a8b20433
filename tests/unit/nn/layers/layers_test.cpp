#include "nn/layers/layers.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "nn/ops/layer_norm.h"
#include "nn/ops/linear.h"
#include "tests/support/random_values.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::same_bits;

class LayersTest : public ::testing::Test {
 protected:
  Tensor random(const Shape& shape, std::uint64_t seed) {
    Tensor tensor(device_, shape, DType::f32, Tag::activations);
    tensor.from_host<float>(random_values<float>(shape.elems(), seed));
    return tensor;
  }
  void fill(Parameter& parameter, std::uint64_t seed) {
    parameter.load(context_, random_values<float>(parameter.elems(), seed));
  }

  Device device_{{.threads = 1}};
  Context context_{device_};
};

TEST_F(LayersTest, LinearMultipliesAndAdds) {
  constexpr std::int64_t kRows = 5;
  constexpr std::int64_t kIn = 7;
  constexpr std::int64_t kOut = 3;
  layers::Linear layer(device_, "h.0.mlp.c_fc", kIn, kOut, DType::f32);
  EXPECT_EQ(layer.weight.name(), "h.0.mlp.c_fc.weight");
  EXPECT_EQ(layer.bias.name(), "h.0.mlp.c_fc.bias");
  EXPECT_EQ(layer.weight.shape(), (Shape{kIn, kOut}));
  EXPECT_EQ(layer.bias.shape(), (Shape{kOut}));
  fill(layer.weight, 1);
  fill(layer.bias, 2);
  const Tensor x = random({kRows, kIn}, 3);
  Tape tape(context_, {.record = false});
  const Var y = layer(tape, tape.leaf(x));
  const float* weight = layer.weight.weight().data_as<float>();
  const float* bias = layer.bias.weight().data_as<float>();
  std::vector<double> expected;
  for (std::int64_t row = 0; row < kRows; ++row) {
    for (std::int64_t out = 0; out < kOut; ++out) {
      double sum = bias[out];
      for (std::int64_t in = 0; in < kIn; ++in) {
        sum += double{x.data_as<float>()[row * kIn + in]} * double{weight[in * kOut + out]};
      }
      expected.push_back(sum);
    }
  }
  EXPECT_EQ(y.shape(), (Shape{kRows, kOut}));
  EXPECT_TRUE(is_close(y.data().to_host<float>(), expected, {1e-6, 1e-6}));
}

TEST_F(LayersTest, LinearWithGeluIsTheOpOfThatName) {
  layers::Linear layer(device_, "fc", 7, 3, DType::f32);
  fill(layer.weight, 1);
  fill(layer.bias, 2);
  const Tensor x = random({5, 7}, 3);
  Tape tape(context_, {.record = false});
  const Var y = layer.gelu(tape, tape.leaf(x));
  const Var expected =
      linear_gelu(tape, tape.leaf(x), tape.leaf(layer.weight.weight()), tape.leaf(layer.bias.weight()));
  EXPECT_TRUE(same_bits(y.data().to_host<float>(), expected.data().to_host<float>()));
}

TEST_F(LayersTest, LayerNormUsesTheEpsilonOfGpt2) {
  layers::LayerNorm layer(device_, "ln_f", 9, DType::f32);
  EXPECT_EQ(layer.weight.name(), "ln_f.weight");
  EXPECT_EQ(layer.bias.shape(), (Shape{9}));
  fill(layer.weight, 1);
  fill(layer.bias, 2);
  const Tensor x = random({4, 9}, 3);
  Tape tape(context_, {.record = false});
  const Var y = layer(tape, tape.leaf(x));
  const Var expected =
      layer_norm(tape, tape.leaf(x), tape.leaf(layer.weight.weight()), tape.leaf(layer.bias.weight()), 1e-5F);
  EXPECT_TRUE(same_bits(y.data().to_host<float>(), expected.data().to_host<float>()));
}

// y = x w + b of one row and one output is a scalar with dw = x and db = 1.
TEST_F(LayersTest, GradientsReachTheParametersAndAddUp) {
  layers::Linear layer(device_, "fc", 7, 1, DType::f32);
  fill(layer.weight, 1);
  fill(layer.bias, 2);
  const Tensor x = random({1, 7}, 3);
  std::vector<double> dw(7, 0.0);
  for (int times = 1; times <= 3; ++times) {
    Tape tape(context_);
    tape.backward(layer(tape, tape.leaf(x)));
    for (std::size_t i = 0; i < dw.size(); ++i) {
      dw[i] += double{x.data_as<float>()[i]};
    }
    EXPECT_EQ(layer.weight.gradient().gradient.shape(), (Shape{7, 1}));
    EXPECT_TRUE(is_close(layer.weight.gradient().gradient.to_host<float>(), dw, {1e-6, 0}));
    EXPECT_EQ(layer.bias.gradient().gradient.to_host<float>(), std::vector{static_cast<float>(times)});
  }
}

}  // namespace
}  // namespace retape::nn
