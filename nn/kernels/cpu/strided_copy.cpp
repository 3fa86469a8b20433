#include "nn/kernels/strided_copy.h"

#include <algorithm>
#include <utility>

#include "nn/kernels/cpu/blocks.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

struct Dimension {
  std::int64_t extent = 1;
  std::int64_t from_stride = 0;
  std::int64_t to_stride = 0;
};

using Dimensions = std::array<Dimension, Shape::kMaxRank>;

// The dimensions of a copy; those that lie behind each other on both sides are one. Where the last is not contiguous in
// `from`, the last but one is the dimension that is, or comes nearest: a tile of both touches few cache lines.
Dimensions simplified(const StridedCopy& kernel) {
  Dimensions dimensions;
  std::size_t first = dimensions.size() - 1;
  for (std::size_t i = dimensions.size(); i-- > 0;) {
    const Dimension next{kernel.extents[i], kernel.from_strides[i], kernel.to_strides[i]};
    Dimension& inner = dimensions[first];
    if (next.extent == 1) {
      continue;
    }
    if (inner.extent == 1) {
      inner = next;
    } else if (next.from_stride == inner.extent * inner.from_stride &&
               next.to_stride == inner.extent * inner.to_stride) {
      inner.extent *= next.extent;
    } else {
      dimensions[--first] = next;
    }
  }
  Dimension& last = dimensions.back();
  if (last.extent == 1) {
    last.from_stride = last.to_stride = 1;
  }
  if (last.from_stride != 1) {
    const auto outer = dimensions.end() - 1;
    const auto nearest = std::min_element(dimensions.begin(), outer, [](const Dimension& a, const Dimension& b) {
      return std::pair(a.extent == 1, a.from_stride) < std::pair(b.extent == 1, b.from_stride);
    });
    std::swap(*nearest, *(outer - 1));
  }
  return dimensions;
}

template <class From, class To>
void copy_row(const From* from, To* to, const Dimension& row, bool accumulate) {
  if (row.from_stride == 1 && row.to_stride == 1) {
    for_each_vector(0, row.extent,
                    [=](Elems i, auto lanes) { store_or_add(load(from + i, lanes), to + i, accumulate, lanes); });
    return;
  }
  for (std::int64_t i = 0; i < row.extent; ++i) {
    To& target = to[i * row.to_stride];
    const float value = to_float(from[i * row.from_stride]);
    target = rounded<To>(accumulate ? to_float(target) + value : value);
  }
}

template <class From, class To>
void copy(Machine& machine, const StridedCopy& kernel) {
  const Dimensions dimensions = simplified(kernel);
  // References, since clang before 16 lets no lambda capture a structured binding.
  const Dimension& outer = dimensions[0];
  const Dimension& middle = dimensions[1];
  const Dimension& rows = dimensions[2];
  const Dimension& columns = dimensions[3];
  const bool contiguous = columns.from_stride == 1 && columns.to_stride == 1;
  const Blocks column_tiles{columns.extent, contiguous ? 4096 : 64};
  const Blocks row_tiles{rows.extent, contiguous ? std::max<std::int64_t>(1, 4096 / columns.extent) : 64};
  const std::int64_t tiles = row_tiles.count() * column_tiles.count();
  parallel_for(machine, outer.extent * middle.extent * tiles, [&](std::int64_t i) {
    const std::int64_t o = i / tiles / middle.extent;
    const std::int64_t m = i / tiles % middle.extent;
    const std::int64_t row_tile = i % tiles / column_tiles.count();
    const std::int64_t column_tile = i % column_tiles.count();
    const std::int64_t column = column_tiles.begin(column_tile);
    const Dimension piece{column_tiles.end(column_tile) - column, columns.from_stride, columns.to_stride};
    for (std::int64_t r = row_tiles.begin(row_tile); r < row_tiles.end(row_tile); ++r) {
      const From* from = static_cast<const From*>(kernel.from) + o * outer.from_stride + m * middle.from_stride +
                         r * rows.from_stride + column * columns.from_stride;
      To* to = static_cast<To*>(kernel.to) + o * outer.to_stride + m * middle.to_stride + r * rows.to_stride +
               column * columns.to_stride;
      copy_row(from, to, piece, kernel.accumulate);
    }
  });
}

}  // namespace

void run(Machine& machine, const StridedCopy& kernel) {
  dispatch(kernel.dtype, [&]<class From>(From) {
    dispatch(kernel.to_dtype, [&]<class To>(To) { copy<From, To>(machine, kernel); });
  });
}

template void run_kernel(Machine&, const StridedCopy&);

}  // namespace retape::nn::cpu
