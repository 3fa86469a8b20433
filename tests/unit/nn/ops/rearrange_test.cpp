#include "nn/ops/rearrange.h"

#include <numeric>

#include "tests/support/op_case.h"

namespace retape::nn {
namespace {

// Index along each axis of element i.
std::vector<std::int64_t> coordinates(Elems i, const Shape& shape) {
  std::vector<std::int64_t> at(static_cast<std::size_t>(shape.rank()));
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    at[static_cast<std::size_t>(axis)] = i % shape[axis];
    i /= shape[axis];
  }
  return at;
}

Elems position(const std::vector<std::int64_t>& at, const Shape& shape) {
  Elems i = 0;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    i = i * shape[axis] + at[static_cast<std::size_t>(axis)];
  }
  return i;
}

// The place of `axis`, which may count from the last, in coordinates.
std::size_t place(int axis, const Shape& shape) {
  return static_cast<std::size_t>(axis < 0 ? axis + shape.rank() : axis);
}

OpCase reshape_of(std::string name, OpInput x, const Shape& shape) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x)},
      .apply = [shape](Tape& tape, const Vars& in) { return reshape(tape, in[0], shape); },
      .reference =
          [shape](const ReferenceInputs& in) {
            Array64 y(shape);
            y.values = in[0].values;
            return y;
          },
      .op = declared<Reshape>({shape}),
      .view = true,
  };
}

INSTANTIATE_TEST_SUITE_P(Reshape, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             reshape_of("split", activation("x", {2, 33, 15}), {2, 33, 3, 5}),
                             reshape_of("flat", parameter("x", {7, 5}), {35}),
                             reshape_of("scalar", activation("x", {1, 1}), {}),
                         })),
                         op_case_name);

OpCase transpose_of(std::string name, OpInput x, int axis, int other_axis) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x)},
      .apply = [=](Tape& tape, const Vars& in) { return transpose(tape, in[0], axis, other_axis); },
      .reference =
          [=](const ReferenceInputs& in) {
            const Shape& from = in[0].shape;
            Array64 y(from.with({{axis, from[other_axis]}, {other_axis, from[axis]}}));
            for (Elems i = 0; i < y.shape.elems(); ++i) {
              std::vector<std::int64_t> at = coordinates(i, y.shape);
              std::swap(at[place(axis, from)], at[place(other_axis, from)]);
              y[i] = in[0][position(at, from)];
            }
            return y;
          },
      .op = declared<Transpose>({axis, other_axis}),
  };
}

INSTANTIATE_TEST_SUITE_P(Transpose, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             transpose_of("matrix", activation("x", {33, 97}), 0, 1),
                             transpose_of("last_two", activation("x", {2, 3, 7, 65}), -1, -2),
                             transpose_of("heads", parameter("x", {2, 7, 3, 5}), 1, 2),
                             transpose_of("first_and_last", activation("x", {5, 2, 3, 7}), 0, -1),
                             transpose_of("around_a_middle", activation("x", {5, 7, 3, 2}), 0, 2),
                             transpose_of("with_itself", activation("x", {5, 7}), 1, 1),
                             transpose_of("extents_of_one", activation("x", {1, 7, 1}), 0, 2),
                         })),
                         op_case_name);

OpCase concat_of(std::string name, std::vector<OpInput> parts, int axis) {
  return {
      .name = std::move(name),
      .inputs = std::move(parts),
      .apply = [axis](Tape& tape, const Vars& in) { return concat(tape, in, axis); },
      .reference =
          [axis](const ReferenceInputs& in) {
            const Shape& first = in[0].shape;
            const std::int64_t extent =
                std::accumulate(in.arrays.begin(), in.arrays.end(), std::int64_t{0},
                                [axis](std::int64_t sum, const Array64& part) { return sum + part.shape[axis]; });
            Array64 y(first.with({{axis, extent}}));
            for (Elems i = 0; i < y.shape.elems(); ++i) {
              std::vector<std::int64_t> at = coordinates(i, y.shape);
              std::int64_t& index = at[place(axis, first)];
              std::size_t part = 0;
              for (; index >= in[part].shape[axis]; ++part) {
                index -= in[part].shape[axis];
              }
              y[i] = in[part][position(at, in[part].shape)];
            }
            return y;
          },
      .op = declared<Concat>({axis}),
  };
}

INSTANTIATE_TEST_SUITE_P(
    Concat, OpCaseTest,
    testing::ValuesIn(in_both_dtypes({
        concat_of("last_axis", {activation("a", {2, 7, 5}), activation("b", {2, 7, 33}), parameter("c", {2, 7, 1})},
                  -1),
        concat_of("first_axis", {activation("a", {3, 97}), activation("b", {1, 97})}, 0),
        concat_of("middle_axis", {activation("a", {2, 3, 5}), parameter("b", {2, 7, 5})}, 1),
        concat_of("one_part", {activation("a", {7, 5})}, 0),
    })),
    op_case_name);

OpCase slice_of(std::string name, OpInput x, int axis, std::int64_t begin, std::int64_t end) {
  return {
      .name = std::move(name),
      .inputs = {std::move(x)},
      .apply = [=](Tape& tape, const Vars& in) { return slice(tape, in[0], axis, begin, end); },
      .reference =
          [=](const ReferenceInputs& in) {
            const Shape& from = in[0].shape;
            Array64 y(from.with({{axis, end - begin}}));
            for (Elems i = 0; i < y.shape.elems(); ++i) {
              std::vector<std::int64_t> at = coordinates(i, y.shape);
              at[place(axis, from)] += begin;
              y[i] = in[0][position(at, from)];
            }
            return y;
          },
      .op = declared<Slice>({axis, begin, end}),
  };
}

INSTANTIATE_TEST_SUITE_P(Slice, OpCaseTest,
                         testing::ValuesIn(in_both_dtypes({
                             slice_of("last_axis", activation("x", {2, 7, 97}), -1, 33, 66),
                             slice_of("first_axis", parameter("x", {7, 33}), 0, 2, 3),
                             slice_of("middle_axis", activation("x", {2, 7, 5}), 1, 0, 6),
                             slice_of("whole", activation("x", {7, 5}), 1, 0, 5),
                             slice_of("one_column", activation("x", {33, 5}), 1, 4, 5),
                         })),
                         op_case_name);

TEST(Rearrange, APartThatIsAnInputTwiceGetsBothGradients) {
  Device device({.kind = DeviceKind::cpu, .threads = 1});
  Context context(device);
  Tape tape(context);
  GradientSlot slot;
  Tensor data(device, Shape{2}, DType::f32, Tag::parameters);
  data.from_host<float>(std::array{3.0F, 4.0F});
  Tensor dy(device, Shape{4}, DType::f32, Tag::gradients);
  dy.from_host<float>(std::array{1.0F, 2.0F, 10.0F, 20.0F});
  const Var x = tape.leaf(data, &slot);
  const Var y = concat(tape, {x, x}, 0);
  EXPECT_EQ(y.data().to_host<float>(), (std::vector<float>{3, 4, 3, 4}));
  tape.backward(y, dy);
  EXPECT_EQ(slot.gradient.to_host<float>(), (std::vector<float>{11, 22}));
}

template <class Apply>
OpErrorCase wrong(std::string name, std::vector<OpErrorCase::Input> inputs, Apply apply, std::string message) {
  return {std::move(name), std::move(inputs), apply, std::move(message)};
}

Var apply_reshape(Tape& tape, const Vars& in) {
  return reshape(tape, in[0], {7});
}
template <int kAxis, int kOther>
Var apply_transpose(Tape& tape, const Vars& in) {
  return transpose(tape, in[0], kAxis, kOther);
}
template <int kAxis>
Var apply_concat(Tape& tape, const Vars& in) {
  return concat(tape, in, kAxis);
}
template <int kAxis, int kBegin, int kEnd>
Var apply_slice(Tape& tape, const Vars& in) {
  return slice(tape, in[0], kAxis, kBegin, kEnd);
}

INSTANTIATE_TEST_SUITE_P(
    Rearrange, OpErrorTest,
    testing::Values(
        wrong("reshape", {{{2, 3}}}, apply_reshape, "[reshape] shape: expected 6 elements as [2, 3] has, got [7]"),
        wrong("reshape_empty", {{{2, 0}}}, apply_reshape, "[reshape] x: expected at least one element, got [2, 0]"),
        wrong("transpose_axis", {{{2, 3}}}, apply_transpose<2, 0>, "[transpose] axis: expected -2 to 1, got 2"),
        wrong("transpose_other_axis", {{{2, 3}}}, apply_transpose<0, -3>,
              "[transpose] other_axis: expected -2 to 1, got -3"),
        wrong("transpose_scalar", {{{}}}, apply_transpose<0, 0>,
              "[transpose] x: expected at least 1 dimension, got a scalar"),
        wrong("transpose_empty", {{{2, 0}}}, apply_transpose<0, 1>,
              "[transpose] x: expected at least one element, got [2, 0]"),
        wrong("transpose_indices", {{{2, 3}, DType::i32}}, apply_transpose<0, 1>,
              "[transpose] x: expected f32 or bf16, got i32"),
        wrong("concat_none", {}, apply_concat<0>, "[concat] parts: expected 1 to 32, got 0"),
        wrong("concat_too_many", std::vector<OpErrorCase::Input>(33, {{2}}), apply_concat<0>,
              "[concat] parts: expected 1 to 32, got 33"),
        wrong("concat_axis", {{{2, 3}}}, apply_concat<2>, "[concat] axis: expected -2 to 1, got 2"),
        wrong("concat_rank", {{{2, 3}}, {{3}}}, apply_concat<0>, "[concat] part 1: expected 2 dimensions, got [3]"),
        wrong("concat_shape", {{{2, 3}}, {{7, 4}}}, apply_concat<0>, "[concat] part 1: expected [7, 3], got [7, 4]"),
        wrong("concat_dtype", {{{2, 3}}, {{7, 3}, DType::bf16}}, apply_concat<0>,
              "[concat] part 1: expected f32, got bf16"),
        wrong("concat_empty", {{{2, 3}}, {{0, 3}}}, apply_concat<0>,
              "[concat] part 1: expected at least one element, got [0, 3]"),
        wrong("slice_axis", {{{2, 3}}}, apply_slice<-3, 0, 1>, "[slice] axis: expected -2 to 1, got -3"),
        wrong("slice_of_nothing", {{{2, 3}}}, apply_slice<1, 2, 2>,
              "[slice] x: expected 0 <= begin < end <= 3, got 2 and 2"),
        wrong("slice_before", {{{2, 3}}}, apply_slice<1, -1, 2>,
              "[slice] x: expected 0 <= begin < end <= 3, got -1 and 2"),
        wrong("slice_beyond", {{{2, 3}}}, apply_slice<0, 0, 3>,
              "[slice] x: expected 0 <= begin < end <= 2, got 0 and 3")),
    op_error_name);

}  // namespace
}  // namespace retape::nn
