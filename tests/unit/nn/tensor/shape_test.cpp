#include "nn/tensor/shape.h"

#include <gtest/gtest.h>

#include <limits>

#include "nn/base/error.h"

namespace retape::nn {
namespace {

TEST(Shape, KnowsItsExtents) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[-3], 2);
  EXPECT_EQ(shape[-1], 5);
  EXPECT_EQ(shape.back(), 5);
  EXPECT_EQ(shape.elems(), 30);
  EXPECT_EQ(shape.rows(), 6);
  EXPECT_EQ(shape.str(), "[2, 3, 5]");
}

TEST(Shape, AScalarHasOneElement) {
  const Shape scalar;
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.elems(), 1);
  EXPECT_EQ(scalar.rows(), 1);
  EXPECT_EQ(scalar.str(), "[]");
}

TEST(Shape, MayBeEmpty) {
  const Shape empty{4, 0};
  EXPECT_EQ(empty.elems(), 0);
  EXPECT_EQ(empty.rows(), 4);
}

TEST(Shape, IsEqualWhereRankAndExtentsAre) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{2, 0}), (Shape{2}));
}

TEST(Shape, TakesAnotherLastExtent) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.with_back(7), (Shape{2, 3, 7}));
  EXPECT_EQ(shape, (Shape{2, 3, 5}));
  EXPECT_THROW((void)shape.with_back(-1), ShapeError);
  EXPECT_THROW((void)Shape().with_back(7), ShapeError);
}

TEST(Shape, TakesOtherExtents) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.with({{0, 7}, {-1, 2}}), (Shape{7, 3, 2}));
  EXPECT_EQ((Shape{1 << 30, 1}).with({{0, 1}, {1, 1 << 30}}), (Shape{1, 1 << 30}));
  EXPECT_THROW((void)shape.with({{3, 1}}), ShapeError);
  EXPECT_THROW((void)shape.with({{-4, 1}}), ShapeError);
  EXPECT_THROW((void)(Shape{1 << 30, 1}).with({{1, 1 << 30}}), ShapeError);
}

TEST(Shape, LosesItsLastExtent) {
  EXPECT_EQ((Shape{2, 3}).without_back(), (Shape{2}));
  EXPECT_EQ((Shape{2}).without_back(), Shape());
  EXPECT_THROW((void)Shape().without_back(), ShapeError);
}

TEST(Shape, RefusesWhatIsNoShape) {
  EXPECT_THROW((Shape{1, 1, 1, 1, 1}), ShapeError);
  EXPECT_THROW((Shape{2, -1}), ShapeError);
}

TEST(Shape, RefusesMoreElementsThanCanBeCounted) {
  constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
  EXPECT_THROW(Shape{kMost}, ShapeError);
  EXPECT_THROW((Shape{1 << 30, 1 << 30}), ShapeError);
  EXPECT_THROW((Shape{kMost, 2, kMost}), ShapeError);
  EXPECT_THROW((void)(Shape{1 << 30, 1}).with_back(1 << 30), ShapeError);
  EXPECT_EQ((Shape{1 << 28, 1 << 28}).elems(), Elems{1} << 56);
}

}  // namespace
}  // namespace retape::nn
