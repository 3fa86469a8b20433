#include "trainer/run/peak_watch.h"

#include <gtest/gtest.h>

#include "nn/tensor/tensor.h"

namespace retape::trainer {
namespace {

using Work = nn::TapeEvent::Work;

TEST(PeakWatch, KeepsWhatRanWhenThePeaksWereReached) {
  nn::Device device({.kind = nn::DeviceKind::meta, .threads = 1});
  PeakWatch watch(device.memory());
  const nn::Region root{.name = ""};
  const nn::Region block{.name = "h.3"};
  const auto hold = [&](nn::Tag tag) { return nn::Tensor(device, {64}, nn::DType::f32, tag); };

  const nn::Tensor weight = hold(nn::Tag::parameters);
  nn::Tensor activation = hold(nn::Tag::activations);
  watch.on_event({.work = Work::forward, .op = "linear", .region = &root});
  EXPECT_EQ(watch.peak(), "forward of linear");
  EXPECT_EQ(watch.activation_peak(), "forward of linear");

  const nn::Tensor gradient = hold(nn::Tag::gradients);
  activation = nn::Tensor();
  watch.on_event({.work = Work::backward, .op = "gelu", .region = &block});
  EXPECT_EQ(watch.peak(), "backward of gelu, h.3");
  EXPECT_EQ(watch.activation_peak(), "forward of linear");

  const nn::Tensor moment = hold(nn::Tag::optimizer);
  watch.on_event({.work = Work::forward, .op = "add", .region = &block});
  EXPECT_EQ(watch.peak(), "backward of gelu, h.3") << "as much as before is no new peak";
  const nn::Tensor another = hold(nn::Tag::optimizer);
  watch.passed("the optimizer's step");
  EXPECT_EQ(watch.peak(), "the optimizer's step");
  EXPECT_EQ(watch.activation_peak(), "forward of linear");
}

}  // namespace
}  // namespace retape::trainer
