#include "nn/kernels/matmul.h"
#include "nn/kernels/backends.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "nn/kernels/cpu/widened_matmul.h"
#include "nn/kernels/launch.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn {
namespace {

DeviceOptions two_threads(DeviceKind kind) {
  DeviceOptions options;
  options.kind = kind;
  options.threads = 2;
  return options;
}

// A tensor of random values, and the same values, as rounded to its dtype, in float64.
struct Operand {
  Operand(Device& device, std::int64_t rows, std::int64_t columns, DType dtype, std::mt19937& generator)
      : tensor(device, Shape{rows, columns}, dtype, Tag::activations) {
    std::normal_distribution<float> normal;
    std::vector<float> floats(static_cast<std::size_t>(tensor.elems()));
    std::generate(floats.begin(), floats.end(), [&] { return normal(generator); });
    if (dtype == DType::f32) {
      tensor.from_host<float>(floats);
      values.assign(floats.begin(), floats.end());
      return;
    }
    std::vector<bf16> rounded(floats.size());
    std::transform(floats.begin(), floats.end(), rounded.begin(), to_bf16);
    tensor.from_host<bf16>(rounded);
    values.resize(rounded.size());
    std::transform(rounded.begin(), rounded.end(), values.begin(), [](bf16 x) { return double{to_float(x)}; });
  }

  Tensor tensor;
  std::vector<double> values;
};

std::vector<double> read(const Tensor& tensor) {
  std::vector<double> values;
  if (tensor.dtype() == DType::f32) {
    const auto floats = tensor.to_host<float>();
    values.assign(floats.begin(), floats.end());
  } else {
    for (const bf16 x : tensor.to_host<bf16>()) {
      values.push_back(double{to_float(x)});
    }
  }
  return values;
}

std::vector<std::byte> bytes_of(const Tensor& tensor) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes()));
  std::memcpy(bytes.data(), tensor.data(), bytes.size());
  return bytes;
}

struct Case {
  std::int64_t m = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
  bool bias = false;
  DType in = DType::f32;
  DType out = DType::f32;
};

// The operands of a case, and the kernel that multiplies them into c.
class Product {
 public:
  Product(Device& device, const Case& c, std::mt19937& generator)
      : case_(c),
        a_(device, c.transpose_a ? c.k : c.m, c.transpose_a ? c.m : c.k, c.in, generator),
        b_(device, c.transpose_b ? c.n : c.k, c.transpose_b ? c.k : c.n, c.in, generator),
        bias_(device, 1, c.n, c.in, generator),
        c_(device, c.m, c.n, c.out, generator) {}

  Matmul kernel() const {
    return {.a = a_.tensor.data(),
            .b = b_.tensor.data(),
            .c = c_.tensor.data(),
            .bias = case_.bias ? bias_.tensor.data() : nullptr,
            .m = case_.m,
            .n = case_.n,
            .k = case_.k,
            .transpose_a = case_.transpose_a,
            .transpose_b = case_.transpose_b,
            .accumulate = case_.accumulate,
            .in = case_.in,
            .out = case_.out};
  }

  Tensor& c() { return c_.tensor; }

  // What c should become, and for each element the sum of the magnitudes that were added up.
  struct Expected {
    std::vector<double> values;
    std::vector<double> magnitudes;
  };
  Expected expected() const {
    Expected expected;
    for (std::int64_t i = 0; i < case_.m; ++i) {
      for (std::int64_t j = 0; j < case_.n; ++j) {
        double sum = case_.bias ? bias_.values[index(j)] : 0;
        sum += case_.accumulate ? c_.values[index(i * case_.n + j)] : 0;
        double magnitude = std::abs(sum);
        for (std::int64_t l = 0; l < case_.k; ++l) {
          const double term = a_.values[index(case_.transpose_a ? l * case_.m + i : i * case_.k + l)] *
                              b_.values[index(case_.transpose_b ? j * case_.k + l : l * case_.n + j)];
          sum += term;
          magnitude += std::abs(term);
        }
        expected.values.push_back(sum);
        expected.magnitudes.push_back(magnitude);
      }
    }
    return expected;
  }

 private:
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

  Case case_;
  Operand a_, b_, bias_, c_;
};

using Extents = std::tuple<std::int64_t, std::int64_t, std::int64_t>;

class MatmulTest : public testing::TestWithParam<Extents> {
 protected:
  static std::vector<Case> cases(const Extents& extents) {
    std::vector<Case> all;
    for (int flags = 0; flags < 16; ++flags) {
      Case c{.transpose_a = (flags & 1) != 0,
             .transpose_b = (flags & 2) != 0,
             .accumulate = (flags & 4) != 0,
             .bias = (flags & 8) != 0};
      if (c.accumulate && c.bias) {
        continue;
      }
      std::tie(c.m, c.n, c.k) = extents;
      all.push_back(c);
      c.in = DType::bf16;
      all.push_back(c);
      c.out = DType::bf16;
      all.push_back(c);
    }
    return all;
  }

  static std::string describe(const Case& c) {
    return fmt::format("{} to {}, transpose {} {}, accumulate {}, bias {}", name(c.in), name(c.out), c.transpose_a,
                       c.transpose_b, c.accumulate, c.bias);
  }

  // f32 sums in any order, and one rounding to the dtype of c.
  static void expect_close(const Case& c, const std::vector<double>& got, const Product::Expected& expected) {
    const double sum_error = 1e-6 * std::sqrt(static_cast<double>(c.k));
    const double rounding = c.out == DType::bf16 ? 1.0 / 256 : 0;
    ASSERT_EQ(got.size(), expected.values.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], expected.values[i],
                  sum_error * expected.magnitudes[i] + rounding * std::abs(expected.values[i]))
          << "element " << i;
    }
  }

  Device device_{two_threads(DeviceKind::cpu)};
  Context context_{device_};
  std::mt19937 generator_{1};
};

TEST_P(MatmulTest, IsTheProductInFloat64) {
  for (const Case& c : cases(GetParam())) {
    SCOPED_TRACE(describe(c));
    Product product(device_, c, generator_);
    const Product::Expected expected = product.expected();
    launch_with_workspace(context_, product.kernel());
    expect_close(c, read(product.c()), expected);
  }
}

// The way of processors without bf16, taken here whatever this one has.
TEST_P(MatmulTest, IsTheProductInFloat64WhenWidened) {
  for (const Case& c : cases(GetParam())) {
    if (c.in != DType::bf16) {
      continue;
    }
    SCOPED_TRACE(describe(c));
    Product product(device_, c, generator_);
    const Product::Expected expected = product.expected();
    Matmul kernel = product.kernel();
    const Bytes bytes = cpu::widened_workspace_bytes(device_.cpu(), kernel);
    const Tensor workspace(device_, Shape{ceil_div(bytes, size_of(DType::f32))}, DType::f32, Tag::workspace);
    kernel.workspace = workspace.data();
    cpu::run_widened(device_.cpu(), kernel);
    expect_close(c, read(product.c()), expected);
  }
}

TEST_P(MatmulTest, RepeatsItsBits) {
  for (const Case& c : cases(GetParam())) {
    Product product(device_, c, generator_);
    const auto start = bytes_of(product.c());
    launch_with_workspace(context_, product.kernel());
    const auto first = bytes_of(product.c());
    for (int repeat = 0; repeat < 3; ++repeat) {
      std::memcpy(product.c().data(), start.data(), start.size());
      launch_with_workspace(context_, product.kernel());
      ASSERT_EQ(bytes_of(product.c()), first);
    }
  }
}

TEST_P(MatmulTest, AsksForTheSameWorkspaceOnMeta) {
  Device meta(two_threads(DeviceKind::meta));
  for (const Case& c : cases(GetParam())) {
    const Product product(device_, c, generator_);
    const Matmul kernel = product.kernel();
    const Bytes bytes = cpu::workspace_of_kernel(device_.cpu(), kernel);
    EXPECT_EQ(cpu::workspace_of_kernel(device_.cpu(), kernel), bytes);
    EXPECT_EQ(cpu::workspace_of_kernel(meta.cpu(), kernel), bytes);
  }
}

TEST_P(MatmulTest, StaysInItsWorkspace) {
  constexpr std::size_t kGuardBytes = 4096;
  constexpr std::byte kGuard{0xa5};
  for (const Case& c : cases(GetParam())) {
    Product product(device_, c, generator_);
    Matmul kernel = product.kernel();
    const auto bytes = static_cast<std::size_t>(cpu::workspace_of_kernel(device_.cpu(), kernel));
    Tensor memory(device_, Shape{static_cast<std::int64_t>((bytes + 2 * kGuardBytes) / sizeof(float))}, DType::f32,
                  Tag::workspace);
    auto* begin = static_cast<std::byte*>(memory.data());
    std::fill(begin, begin + bytes + 2 * kGuardBytes, kGuard);
    kernel.workspace = begin + kGuardBytes;
    cpu::run_kernel(device_.cpu(), kernel);
    const auto untouched = [](const std::byte* from) {
      return std::all_of(from, from + kGuardBytes, [](std::byte x) { return x == kGuard; });
    };
    EXPECT_TRUE(untouched(begin));
    EXPECT_TRUE(untouched(begin + kGuardBytes + bytes));
  }
}

std::string size_name(const testing::TestParamInfo<Extents>& test) {
  const auto& [m, n, k] = test.param;
  return "m" + std::to_string(m) + "n" + std::to_string(n) + "k" + std::to_string(k);
}

INSTANTIATE_TEST_SUITE_P(Sizes, MatmulTest,
                         testing::Values(Extents{1, 1, 1}, Extents{1, 33, 5}, Extents{5, 1, 97}, Extents{97, 5, 1},
                                         Extents{33, 97, 5}, Extents{64, 48, 32}, Extents{97, 33, 161},
                                         Extents{257, 97, 33}, Extents{129, 257, 65}, Extents{7, 9, 1601},
                                         Extents{513, 17, 33}, Extents{2049, 5, 17}),
                         size_name);

// A device serves the thread of its rank, which need not be the one that opened it.
TEST(Matmul, GivesTheSameBitsOnAnotherThread) {
  Device device(two_threads(DeviceKind::cpu));
  Context context(device);
  std::mt19937 generator(2);
  Product product(device, {.m = 300, .n = 97, .k = 129}, generator);
  launch_with_workspace(context, product.kernel());
  const auto first = bytes_of(product.c());
  product.c().fill_zero();
  std::thread([&] { launch_with_workspace(context, product.kernel()); }).join();
  EXPECT_EQ(bytes_of(product.c()), first);
}

TEST(Matmul, GivesTheSameBitsWhenItsPrimitiveIsMadeAgain) {
  Device device(two_threads(DeviceKind::cpu));
  Context context(device);
  std::mt19937 generator(2);
  for (const DType in : {DType::f32, DType::bf16}) {
    Product product(device, {.m = 300, .n = 97, .k = 1129, .in = in}, generator);
    launch_with_workspace(context, product.kernel());
    const auto first = bytes_of(product.c());
    for (std::size_t i = 0; i < cpu::Machine::kMostCached; ++i) {
      device.cpu().cached<int>(std::to_string(i), [] { return 0; });
    }
    product.c().fill_zero();
    launch_with_workspace(context, product.kernel());
    EXPECT_EQ(bytes_of(product.c()), first) << name(in);
  }
}

// What the key of the kept primitives must tell apart: alternating products do not disturb each other.
TEST(Matmul, TellsProductsApart) {
  Device device(two_threads(DeviceKind::cpu));
  Context context(device);
  std::mt19937 generator(3);
  Product plain(device, {.m = 33, .n = 33, .k = 33}, generator);
  Product transposed(device, {.m = 33, .n = 33, .k = 33, .transpose_b = true}, generator);
  Product biased(device, {.m = 33, .n = 33, .k = 33, .bias = true}, generator);
  for (Product* product : {&plain, &transposed, &biased, &plain, &transposed, &biased}) {
    launch_with_workspace(context, product->kernel());
    const auto expected = product->expected();
    const auto got = read(product->c());
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], expected.values[i], 1e-5 * expected.magnitudes[i]);
    }
  }
}

// The parts in between are alike: looked at one by one, these would take weeks.
TEST(Matmul, AsksForTheWorkspaceOfALongProductByItsFirstAndLastParts) {
  Device device(two_threads(DeviceKind::meta));
  constexpr std::int64_t kPart = 512;
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  for (const DType in : {DType::f32, DType::bf16}) {
    const auto workspace = [&](std::int64_t k) {
      return cpu::workspace_of_kernel(device.cpu(), Matmul{.m = 33, .n = 97, .k = k, .transpose_a = true, .in = in});
    };
    EXPECT_EQ(workspace(3 * kMany * kPart), workspace(12 * kPart)) << name(in);
  }
}

}  // namespace
}  // namespace retape::nn
