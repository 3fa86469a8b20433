#include "nn/kernels/arithmetic.h"
#include "nn/kernels/backends.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/random_values.h"
#include "tests/unit/nn/kernels/run_kernel.h"

namespace retape::nn {
namespace {

using testing::is_close;
using testing::random_values;
using testing::same_bits;
using testing::to_double;
using testing::tolerance;
using Kind = ArithmeticKind;

// a [repetitions, period], b [period]; b is far from 0.
template <class T>
struct Case {
  Case(std::int64_t repetition_count, Elems period)
      : repetitions(repetition_count),
        a(random_values<T>(repetitions * period, 1)),
        b(random_values<T>(period, 2, 1, 2)),
        dout(random_values<T>(repetitions * period, 3)),
        out(a.size()),
        da(random_values<float>(repetitions * period, 4)),
        db(random_values<float>(period, 5)) {}

  ArithmeticOperands operands() const {
    return {.a = a.data(),
            .b = b.data(),
            .a_elems = static_cast<Elems>(a.size()),
            .b_elems = static_cast<Elems>(b.size()),
            .dtype = kDTypeOf<T>};
  }
  ArithmeticBackward backward(Kind kind, bool of_b) {
    return {.kind = kind,
            .operands = operands(),
            .of_b = of_b,
            .dout = dout.data(),
            .gradient = of_b ? db.data() : da.data()};
  }

  std::int64_t repetitions;
  std::vector<T> a, b, dout, out;
  std::vector<float> da, db;
};

const std::vector<std::pair<std::int64_t, Elems>> kShapes{{1, 1}, {7, 5}, {1, 97}, {40000, 1}, {3000, 7}, {33, 1100}};

template <class T>
class ArithmeticKernel : public ::testing::Test {};
TYPED_TEST_SUITE(ArithmeticKernel, KernelTypes);

TYPED_TEST(ArithmeticKernel, RepeatsTheShorterOperandOnEitherSide) {
  for (const auto& [repetitions, period] : kShapes) {
    SCOPED_TRACE(::testing::Message() << repetitions << " x " << period);
    Case<TypeParam> c(repetitions, period);
    std::vector<double> expected;
    for (std::size_t i = 0; i < c.a.size(); ++i) {
      expected.push_back(to_double(c.a[i]) / to_double(c.b[i % c.b.size()]));
    }
    run_kernel(ArithmeticForward{.kind = Kind::divide, .operands = c.operands(), .out = c.out.data()});
    EXPECT_TRUE(is_close(c.out, expected, tolerance<TypeParam>({1e-7, 1e-40})));

    for (std::size_t i = 0; i < c.a.size(); ++i) {
      expected[i] = to_double(c.b[i % c.b.size()]) - to_double(c.a[i]);
    }
    ArithmeticOperands exchanged = c.operands();
    std::swap(exchanged.a, exchanged.b);
    std::swap(exchanged.a_elems, exchanged.b_elems);
    run_kernel(ArithmeticForward{.kind = Kind::subtract, .operands = exchanged, .out = c.out.data()});
    EXPECT_TRUE(is_close(c.out, expected, tolerance<TypeParam>({1e-7, 0})));
  }
}

TYPED_TEST(ArithmeticKernel, GradientOfWhatIsRepeatedIsTheSum) {
  for (const auto& [repetitions, period] : kShapes) {
    for (const bool accumulate : {false, true}) {
      SCOPED_TRACE(::testing::Message() << repetitions << " x " << period << (accumulate ? " added" : ""));
      Case<TypeParam> c(repetitions, period);
      std::vector<double> expected(c.b.size(), 0);
      if (accumulate) {
        expected = testing::to_doubles(c.db);
      }
      for (std::size_t i = 0; i < c.a.size(); ++i) {
        expected[i % c.b.size()] += to_double(c.dout[i]) * to_double(c.a[i]);
      }
      ArithmeticBackward kernel = c.backward(Kind::multiply, true);
      kernel.accumulate = accumulate;
      run_kernel(kernel);
      EXPECT_TRUE(is_close(c.db, expected, {1e-6, 1e-7 * static_cast<double>(repetitions)}));
    }
  }
}

TYPED_TEST(ArithmeticKernel, BitsDoNotDependOnThreads) {
  for (const auto& [repetitions, period] : kShapes) {
    for (const Kind kind : {Kind::add, Kind::subtract, Kind::multiply, Kind::divide}) {
      Case<TypeParam> one(repetitions, period);
      run_kernel(one.backward(kind, false), 1);
      run_kernel(one.backward(kind, true), 1);
      for (const int threads : {2, 3}) {
        Case<TypeParam> c(repetitions, period);
        run_kernel(c.backward(kind, false), threads);
        run_kernel(c.backward(kind, true), threads);
        EXPECT_TRUE(same_bits(c.da, one.da) && same_bits(c.db, one.db));
      }
    }
  }
}

// b^2 and dout a are beyond f32, the gradient is not.
TEST(ArithmeticKernel, GradientOfADivisorOverflowsNowhereOnTheWay) {
  const std::vector<float> a{3e30F, 1e-30F};
  const std::vector<float> b{1e25F, 1e-25F};
  const std::vector<float> dout{1e20F, 1e-20F};
  std::vector<float> db(2);
  run_kernel(ArithmeticBackward{.kind = Kind::divide,
                                .operands = {.a = a.data(), .b = b.data(), .a_elems = 2, .b_elems = 2},
                                .of_b = true,
                                .dout = dout.data(),
                                .gradient = db.data()});
  EXPECT_TRUE(is_close(db, {-3, -1}, {1e-6, 0}));
}

TEST(ArithmeticKernel, NeedsWorkspaceForSumsAlone) {
  Case<float> c(7, 5);
  cpu::Machine machine(1);
  EXPECT_EQ(cpu::workspace_of_kernel(machine, c.backward(Kind::add, false)), 0);
  EXPECT_GT(cpu::workspace_of_kernel(machine, c.backward(Kind::add, true)), 0);
}

}  // namespace
}  // namespace retape::nn
