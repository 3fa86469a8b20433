#include "nn/layers/parameter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/base/error.h"
#include "nn/layers/layers.h"
#include "tests/support/random_values.h"
#include "tests/support/test_ops.h"

namespace retape::nn {
namespace {

using ::testing::Each;
using testing::random_values;
using testing::same_bits;

class ParameterTest : public ::testing::Test {
 protected:
  Bytes parameter_bytes() { return device_.memory().stats().live_by_tag[static_cast<std::size_t>(Tag::parameters)]; }

  Device device_{{.threads = 1}};
  Context context_{device_};
};

// Whether the working copy is what the weight rounds to.
void expect_rounded(const Parameter& parameter) {
  const std::vector<float> weight = parameter.weight().to_host<float>();
  const std::vector<bf16> working = parameter.working().to_host<bf16>();
  ASSERT_EQ(working.size(), weight.size());
  for (std::size_t i = 0; i < weight.size(); ++i) {
    ASSERT_EQ(working[i].bits, to_bf16(weight[i]).bits) << i;
  }
}

TEST_F(ParameterTest, InF32TheWorkingCopyIsTheWeight) {
  const Parameter parameter(device_, "wte", {3, 5}, DType::f32);
  EXPECT_EQ(parameter.name(), "wte");
  EXPECT_EQ(parameter.shape(), (Shape{3, 5}));
  EXPECT_EQ(parameter.elems(), 15);
  EXPECT_EQ(parameter.working().data(), parameter.weight().data());
  EXPECT_EQ(parameter_bytes(), 256);
}

TEST_F(ParameterTest, InBf16TheWorkingCopyIsRoundedFromTheWeight) {
  Parameter parameter(device_, "wte", {33, 7}, DType::bf16);
  EXPECT_EQ(parameter.weight().dtype(), DType::f32);
  EXPECT_EQ(parameter.working().dtype(), DType::bf16);
  EXPECT_EQ(parameter.working().shape(), (Shape{33, 7}));
  EXPECT_EQ(parameter_bytes(), 1024 + 512);
  const auto values = random_values<float>(parameter.elems(), 1);
  parameter.load(context_, values);
  EXPECT_TRUE(same_bits(parameter.weight().to_host<float>(), values));
  expect_rounded(parameter);
  parameter.fill(context_, 1.0F / 3);
  EXPECT_THAT(parameter.weight().to_host<float>(), Each(1.0F / 3));
  expect_rounded(parameter);
  parameter.fill_normal(context_, 0.02, {.seed = 1, .offset = 0});
  expect_rounded(parameter);
  parameter.weight().data_as<float>()[17] = 123.456F;
  parameter.weight_changed(context_);
  expect_rounded(parameter);
}

TEST_F(ParameterTest, RefusesOtherTypesAndNumbersOfValues) {
  EXPECT_THROW(Parameter(device_, "ids", {3}, DType::i32), ShapeError);
  Parameter parameter(device_, "bias", {3}, DType::f32);
  EXPECT_THROW(parameter.load(context_, std::vector<float>(4)), ShapeError);
}

TEST_F(ParameterTest, NormalValuesDependOnTheRangeAlone) {
  constexpr Elems kElems = 20'000;
  constexpr double kStddev = 0.02;
  Parameter a(device_, "a", {kElems}, DType::f32);
  Parameter b(device_, "b", {kElems / 4, 4}, DType::bf16);
  a.fill_normal(context_, kStddev, {.seed = 9, .offset = 3});
  b.fill_normal(context_, kStddev, {.seed = 9, .offset = 3});
  const std::vector<float> values = a.weight().to_host<float>();
  EXPECT_TRUE(same_bits(values, b.weight().to_host<float>()));
  double sum = 0;
  double squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  // Five standard errors of the mean and of the variance.
  EXPECT_NEAR(sum / kElems, 0, 5 * kStddev / std::sqrt(kElems));
  EXPECT_NEAR(squares / kElems / (kStddev * kStddev), 1, 5 * std::sqrt(2.0 / kElems));
  a.fill_normal(context_, kStddev, {.seed = 10, .offset = 3});
  EXPECT_FALSE(same_bits(values, a.weight().to_host<float>()));
}

TEST_F(ParameterTest, AsALeafItHasTheWorkingCopyAndItsGradientWanted) {
  Parameter parameter(device_, "bias", {3}, DType::bf16);
  Tape tape(context_);
  const Var leaf = parameter.on(tape);
  EXPECT_TRUE(leaf.requires_grad());
  EXPECT_EQ(leaf.dtype(), DType::bf16);
  EXPECT_EQ(leaf.data().data(), parameter.working().data());
}

TEST_F(ParameterTest, ClearedGradientsReturnTheirMemory) {
  Parameter with(device_, "with", {3}, DType::f32);
  Parameter without(device_, "without", {3}, DType::f32);
  const Bytes before = device_.memory().stats().live;
  with.gradient().gradient = Tensor(device_, {3}, DType::f32, Tag::gradients);
  EXPECT_EQ(device_.memory().stats().live, before + 256);
  clear_gradients({&with, &without});
  EXPECT_FALSE(with.gradient().gradient.defined());
  EXPECT_EQ(device_.memory().stats().live, before);
}

// A linear layer on a row of ones.
class WrittenParameterTest : public ParameterTest, public ::testing::WithParamInterface<DType> {
 protected:
  WrittenParameterTest() {
    for (Parameter* parameter : parameters()) {
      parameter->fill_normal(context_, 1, {.seed = 1, .offset = 0});
    }
  }
  Parameters parameters() { return {&layer_.weight, &layer_.bias}; }
  Var forward(Tape& tape) { return layer_(tape, tape.leaf(ones({1, 3}))); }
  void backward(Tape& tape, Var y) { tape.backward(std::move(y), ones({1, 2})); }
  Tensor ones(const Shape& shape) {
    Tensor tensor(device_, shape, GetParam(), Tag::activations);
    for (Elems i = 0; i < shape.elems(); ++i) {
      set_element(tensor, i, 1);
    }
    return tensor;
  }

  layers::Linear layer_{device_, "h.0.c_fc", 3, 2, GetParam()};
};

TEST_P(WrittenParameterTest, IsRefusedByItsNameHoweverItWasWritten) {
  Parameter& weight = layer_.weight;
  for (const std::function<void()>& write : std::vector<std::function<void()>>{
           [&] { weight.fill(context_, 1); }, [&] { weight.load(context_, std::vector<float>(6)); },
           [&] { weight.fill_normal(context_, 1, {}); }, [&] { weight.weight_changed(context_); },
           [&] { weight.note_write(); }}) {
    Tape tape(context_);
    Var y = forward(tape);
    write();
    EXPECT_THAT([&] { backward(tape, std::move(y)); },
                ::testing::ThrowsMessage<Error>(
                    "[linear] h.0.c_fc.weight: expected the contents that forward read outside all regions, got ones "
                    "that were written before its backward"));
  }
}

// What a tape of one's own reads may be the weight itself.
TEST_P(WrittenParameterTest, SaysSoOfTheWeightAndOfTheWorkingCopy) {
  Parameter& weight = layer_.weight;
  const auto weight_before = weight.weight().storage()->version();
  const auto working_before = weight.working().storage()->version();
  weight.note_write();
  EXPECT_GT(weight.weight().storage()->version(), weight_before);
  EXPECT_GT(weight.working().storage()->version(), working_before);
}

TEST_P(WrittenParameterTest, MayBeOneThatNobodyReads) {
  Tape tape(context_);
  Var y = forward(tape);
  layer_.bias.fill(context_, 3);
  backward(tape, std::move(y));
  EXPECT_THAT(layer_.bias.gradient().gradient.to_host<float>(), Each(1.0F));
}

TEST_P(WrittenParameterTest, IsNoneWhoseGradientsAreSummedOrCleared) {
  Tape first(context_);
  Tape second(context_);
  Var y = forward(first);
  Var z = forward(second);
  backward(first, std::move(y));
  clear_gradients(parameters());
  backward(second, std::move(z));
  for (int i = 0; i < 2; ++i) {
    Tape next(context_);
    backward(next, forward(next));
  }
  EXPECT_THAT(layer_.weight.gradient().gradient.to_host<float>(), Each(3.0F));
}

INSTANTIATE_TEST_SUITE_P(DTypes, WrittenParameterTest, ::testing::Values(DType::f32, DType::bf16),
                         [](const auto& dtype) { return std::string(name(dtype.param)); });

TEST(MetaParameter, HoldsTheSameBytes) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Device cpu({.threads = 1});
    Device meta({.kind = DeviceKind::meta, .threads = 1});
    for (Device* device : {&cpu, &meta}) {
      Context context(*device);
      Parameter parameter(*device, "wte", {100, 64}, dtype);
      parameter.fill(context, 1);
      parameter.fill_normal(context, 1, {});
    }
    EXPECT_EQ(cpu.memory().stats(), meta.memory().stats());
  }
}

}  // namespace
}  // namespace retape::nn
