#include "nn/tensor/shape.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <span>

#include "nn/base/error.h"

namespace retape::nn {
namespace {

// More than any machine holds, and few enough that their bytes can be added up.
constexpr Elems kMaxElems = Elems{1} << 56;

}  // namespace

Shape::Shape(std::initializer_list<std::int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  require<ShapeError>(extents.size() <= kMaxRank, "[shape] expected at most {} dimensions, got {}", int{kMaxRank},
                      extents.size());
  std::copy(extents.begin(), extents.end(), extents_.begin());
  check_extents();
}

void Shape::check_extents() const {
  Elems product = 1;
  for (int i = 0; i < rank_; ++i) {
    const std::int64_t extent = (*this)[i];
    require<ShapeError>(extent >= 0, "[shape] expected extents of at least 0, got {}", str());
    require<ShapeError>(extent <= kMaxElems / std::max<Elems>(product, 1),
                        "[shape] expected at most 2^56 elements, got {}", str());
    product *= extent;
  }
}

Elems Shape::elems() const {
  Elems product = 1;
  for (int i = 0; i < rank_; ++i) {
    product *= (*this)[i];
  }
  return product;
}

Elems Shape::rows() const {
  Elems product = 1;
  for (int i = 0; i + 1 < rank_; ++i) {
    product *= (*this)[i];
  }
  return product;
}

Shape Shape::with(std::initializer_list<std::pair<int, std::int64_t>> changes) const {
  Shape result = *this;
  for (const auto& [i, extent] : changes) {
    require<ShapeError>(-rank_ <= i && i < rank_, "[shape] expected a dimension {} to replace by {}, got {}", i, extent,
                        str());
    result.extents_[static_cast<std::size_t>(i < 0 ? i + rank_ : i)] = extent;
  }
  result.check_extents();
  return result;
}

Shape Shape::with_back(std::int64_t extent) const {
  require<ShapeError>(rank_ > 0, "[shape] expected a dimension to replace by {}, got a scalar", extent);
  return with({{-1, extent}});
}

Shape Shape::without_back() const {
  Shape result = with_back(0);
  --result.rank_;
  return result;
}

std::string Shape::str() const {
  return fmt::format("[{}]", fmt::join(std::span(extents_.data(), static_cast<std::size_t>(rank_)), ", "));
}

}  // namespace retape::nn
