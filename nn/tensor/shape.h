// Extents of a dense row-major tensor, up to four dimensions, without an allocation.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "nn/base/units.h"

namespace retape::nn {

class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;  // a scalar: rank 0, one element
  // Throws ShapeError for more than four extents, a negative one, or more elements than any machine holds.
  Shape(std::initializer_list<std::int64_t> extents);

  int rank() const { return rank_; }
  // Extent of dimension i; a negative i counts from the last.
  std::int64_t operator[](int i) const { return extents_[static_cast<std::size_t>(i < 0 ? i + rank_ : i)]; }
  std::int64_t back() const { return (*this)[-1]; }
  Elems elems() const;
  // Product of all extents but the last.
  Elems rows() const;
  // The same shape with other extents: pairs of a dimension, counted as by [], and its extent.
  Shape with(std::initializer_list<std::pair<int, std::int64_t>> changes) const;
  // The same shape with another last extent, and without it.
  Shape with_back(std::int64_t extent) const;
  Shape without_back() const;
  std::string str() const;  // "[4, 32, 64]"

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  void check_extents() const;

  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

}  // namespace retape::nn
