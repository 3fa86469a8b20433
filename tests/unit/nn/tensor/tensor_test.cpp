#include "nn/tensor/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "nn/base/error.h"

namespace retape::nn {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

class TensorTest : public ::testing::Test {
 protected:
  Tensor make(const Shape& shape, DType dtype = DType::f32, Tag tag = Tag::activations) {
    return {device_, shape, dtype, tag};
  }
  const MemoryStats& stats() { return device_.memory().stats(); }

  Device device_{{.threads = 1}};
};

template <class Action>
std::string shape_error(Action action) {
  try {
    action();
  } catch (const ShapeError& error) {
    return error.what();
  }
  return "no ShapeError";
}

TEST_F(TensorTest, StartsUndefined) {
  const Tensor tensor;
  EXPECT_FALSE(tensor.defined());
  EXPECT_EQ(tensor.data(), nullptr);
  EXPECT_EQ(tensor.storage(), nullptr);
}

TEST_F(TensorTest, BooksItsBytesUnderItsTag) {
  const Tensor tensor = make({3, 100}, DType::bf16, Tag::parameters);
  EXPECT_TRUE(tensor.defined());
  EXPECT_EQ(tensor.shape(), (Shape{3, 100}));
  EXPECT_EQ(tensor.elems(), 300);
  EXPECT_EQ(tensor.bytes(), 600);
  EXPECT_EQ(&tensor.device(), &device_);
  EXPECT_EQ(tensor.storage()->tag(), Tag::parameters);
  EXPECT_EQ(stats().live_by_tag[static_cast<std::size_t>(Tag::parameters)], 768);
  tensor.storage()->retag(Tag::checkpoints);
  EXPECT_EQ(tensor.storage()->tag(), Tag::checkpoints);
  EXPECT_EQ(stats().live_by_tag[static_cast<std::size_t>(Tag::checkpoints)], 768);
}

TEST_F(TensorTest, CopiesShareMemoryThatReturnsWithTheLast) {
  Tensor a = make({4});
  EXPECT_TRUE(a.unique());
  std::optional<Tensor> b = a;
  EXPECT_EQ(a.data(), b->data());
  EXPECT_FALSE(a.unique());
  EXPECT_EQ(stats().live, 256);
  b.reset();
  EXPECT_TRUE(a.unique());
  const Tensor moved = std::move(a);
  EXPECT_TRUE(moved.unique());
  EXPECT_EQ(stats().live, 256);
  a = make({4});
  EXPECT_EQ(stats().live, 512);
  a = moved;
  EXPECT_EQ(stats().live, 256);
}

TEST_F(TensorTest, IsMadeAgainFromItsStorage) {
  std::optional<Tensor> a = make({4});
  const std::weak_ptr<Storage> storage = a->storage();
  {
    const Tensor again(storage.lock(), {2, 2}, DType::f32);
    EXPECT_EQ(again.data(), a->data());
    EXPECT_EQ(again.shape(), (Shape{2, 2}));
  }
  a.reset();
  EXPECT_FALSE(Tensor(storage.lock(), {2, 2}, DType::f32).defined());
  EXPECT_EQ(stats().live, 0);
}

TEST_F(TensorTest, IsNoLargerThanItsStorage) {
  const Tensor a = make({4});  // of 256 bytes
  EXPECT_NO_THROW(Tensor(a.storage(), {64}, DType::f32));
  EXPECT_NO_THROW(Tensor(a.storage(), {3, 0}, DType::f32));
  EXPECT_EQ(shape_error([&] {
              (void)Tensor(a.storage(), {13, 5}, DType::f32);
            }),
            "[tensor] f32 [13, 5]: expected at least 260 bytes of memory, got 256");
  const auto view = std::make_shared<Storage>(a.storage(), 250);
  EXPECT_NO_THROW(Tensor(view, {3}, DType::bf16));
  EXPECT_EQ(shape_error([&] { (void)Tensor(view, {4}, DType::bf16); }),
            "[tensor] bf16 [4]: expected at least 8 bytes of memory, got 6");
}

TEST_F(TensorTest, AViewLooksIntoAWholeAndKeepsItAlive) {
  std::optional<Tensor> whole = make({6});
  whole->from_host<float>(std::vector{0.0F, 1.0F, 2.0F, 3.0F, 4.0F, 5.0F});
  std::optional<Tensor> outer(Tensor(std::make_shared<Storage>(whole->storage(), 8), {2, 2}, DType::f32));
  const Tensor inner(std::make_shared<Storage>(outer->storage(), 4), {2}, DType::f32);
  EXPECT_THAT(outer->to_host<float>(), ElementsAre(2.0F, 3.0F, 4.0F, 5.0F));
  EXPECT_THAT(inner.to_host<float>(), ElementsAre(3.0F, 4.0F));
  EXPECT_EQ(whole->storage()->bytes(), 256);
  EXPECT_EQ(inner.storage()->bytes(), 244);
  EXPECT_EQ(&inner.device(), &device_);
  EXPECT_EQ(stats().allocations, 1);
  EXPECT_FALSE(inner.unique());
  outer.reset();
  EXPECT_FALSE(inner.unique());
  whole.reset();
  EXPECT_TRUE(inner.unique());
  EXPECT_EQ(stats().live, 256);
  EXPECT_THAT(inner.to_host<float>(), ElementsAre(3.0F, 4.0F));
}

TEST_F(TensorTest, AViewIsBookedAsItsWhole) {
  const Tensor whole = make({64});
  const Tensor view(std::make_shared<Storage>(whole.storage(), 16), {4}, DType::f32);
  view.storage()->retag(Tag::gradients);
  EXPECT_EQ(view.storage()->tag(), Tag::activations);
  EXPECT_EQ(stats().live_by_tag[static_cast<std::size_t>(Tag::activations)], 256);
  whole.storage()->retag(Tag::checkpoints);
  EXPECT_EQ(view.storage()->tag(), Tag::checkpoints);
}

TEST_F(TensorTest, AViewLiesInsideItsWhole) {
  const Tensor whole = make({64});
  EXPECT_NO_THROW(Storage(whole.storage(), 256));
  EXPECT_EQ(shape_error([&] { (void)Storage(whole.storage(), 257); }),
            "[storage] view: expected an offset of 0 to 256, got 257");
  EXPECT_EQ(shape_error([&] { (void)Storage(whole.storage(), -1); }),
            "[storage] view: expected an offset of 0 to 256, got -1");
}

TEST_F(TensorTest, ReshapedSharesMemory) {
  const Tensor a = make({2, 6}, DType::bf16);
  const Tensor b = a.reshaped({3, 4});
  EXPECT_EQ(b.shape(), (Shape{3, 4}));
  EXPECT_EQ(b.dtype(), DType::bf16);
  EXPECT_EQ(b.data(), a.data());
  EXPECT_FALSE(a.unique());
  EXPECT_EQ(a.shape(), (Shape{2, 6}));
}

TEST_F(TensorTest, ReshapedKeepsTheNumberOfElements) {
  const Tensor a = make({2, 6});
  EXPECT_EQ(shape_error([&] { (void)a.reshaped({5, 2}); }), "[reshape] expected 12 elements, got [5, 2]");
}

TEST_F(TensorTest, ExchangesValuesWithTheHost) {
  Tensor floats = make({2, 2});
  floats.from_host<float>(std::vector{1.0F, -2.0F, 3.5F, 0.0F});
  EXPECT_THAT(floats.to_host<float>(), ElementsAre(1.0F, -2.0F, 3.5F, 0.0F));
  EXPECT_EQ(floats.data_as<float>()[2], 3.5F);
  Tensor ids = make({3}, DType::i32);
  ids.from_host<std::int32_t>(std::vector<std::int32_t>{7, -1, 50256});
  EXPECT_THAT(ids.to_host<std::int32_t>(), ElementsAre(7, -1, 50256));
  Tensor halves = make({2}, DType::bf16);
  halves.from_host<bf16>(std::vector{to_bf16(1.5F), to_bf16(-3)});
  const std::vector<bf16> back = halves.to_host<bf16>();
  EXPECT_EQ(to_float(back[0]), 1.5F);
  EXPECT_EQ(to_float(back[1]), -3.0F);
  floats.fill_zero();
  EXPECT_THAT(floats.to_host<float>(), Each(0.0F));
}

TEST_F(TensorTest, RefusesValuesOfAnotherTypeOrNumber) {
  Tensor tensor = make({2, 3});
  EXPECT_EQ(shape_error([&] { (void)tensor.data_as<bf16>(); }), "[tensor] expected bf16, got f32");
  EXPECT_EQ(shape_error([&] { (void)tensor.to_host<std::int32_t>(); }), "[tensor] expected i32, got f32");
  EXPECT_EQ(shape_error([&] { tensor.from_host<float>(std::vector<float>(5)); }),
            "[tensor] expected 6 values for [2, 3], got 5");
  EXPECT_EQ(shape_error([] { (void)Tensor().data_as<float>(); }),
            "[tensor] expected f32 data, got an undefined tensor");
  EXPECT_EQ(shape_error([] { Tensor().fill_zero(); }), "[tensor] fill_zero: expected memory, got an undefined tensor");
}

TEST_F(TensorTest, MayHoldNothingOrOneValue) {
  Tensor empty = make({0, 5});
  EXPECT_TRUE(empty.defined());
  EXPECT_EQ(empty.bytes(), 0);
  empty.fill_zero();
  EXPECT_TRUE(empty.to_host<float>().empty());
  Tensor scalar = make({});
  scalar.from_host<float>(std::vector{2.0F});
  EXPECT_THAT(scalar.to_host<float>(), ElementsAre(2.0F));
}

TEST(MetaTensor, HasShapeAndBytesAndReadsAsZeros) {
  Device device({.kind = DeviceKind::meta, .threads = 1});
  Tensor tensor(device, {2, 2}, DType::f32, Tag::activations);
  tensor.from_host<float>(std::vector{1.0F, 2.0F, 3.0F, 4.0F});
  tensor.fill_zero();
  EXPECT_THAT(tensor.to_host<float>(), ElementsAre(0.0F, 0.0F, 0.0F, 0.0F));
  const Tensor huge(device, {1 << 20, 1 << 20}, DType::f32, Tag::activations);
  EXPECT_EQ(device.memory().stats().live, 4096_GiB + 256);
}

}  // namespace
}  // namespace retape::nn
