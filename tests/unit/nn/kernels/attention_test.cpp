#include "nn/kernels/attention.h"
#include "nn/kernels/backends.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "nn/kernels/cpu/attention_head.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn {
namespace {

using Doubles = std::vector<double>;

// Values of f32 or bf16, as bytes for the kernel and as doubles for the reference.
class Array {
 public:
  Array(DType dtype, Elems elems)
      : dtype_(dtype), elems_(elems), bytes_(static_cast<std::size_t>(elems * size_of(dtype))) {}

  void* data() { return bytes_.data(); }
  const std::vector<unsigned char>& bytes() const { return bytes_; }

  void set(Elems i, float value) {
    const bf16 half = to_bf16(value);
    std::memcpy(&bytes_[static_cast<std::size_t>(i * size_of(dtype_))],
                dtype_ == DType::bf16 ? static_cast<const void*>(&half) : &value,
                static_cast<std::size_t>(size_of(dtype_)));
  }

  Doubles doubles() const {
    Doubles values;
    for (Elems i = 0; i < elems_; ++i) {
      const unsigned char* at = &bytes_[static_cast<std::size_t>(i * size_of(dtype_))];
      float value = 0;
      bf16 half{};
      if (dtype_ == DType::bf16) {
        std::memcpy(&half, at, sizeof half);
        value = to_float(half);
      } else {
        std::memcpy(&value, at, sizeof value);
      }
      values.push_back(value);
    }
    return values;
  }

 private:
  DType dtype_;
  Elems elems_;
  std::vector<unsigned char> bytes_;
};

Array random_array(DType dtype, Elems elems, unsigned seed) {
  Array array(dtype, elems);
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  for (Elems i = 0; i < elems; ++i) {
    array.set(i, normal(engine));
  }
  return array;
}

struct Reference {
  Doubles out, lse, dqkv;
};

// The definition, in float64, with whole rows of probabilities.
class ReferenceAttention {
 public:
  ReferenceAttention(const AttentionShape& shape, const Doubles& qkv, const Doubles& dout)
      : shape_(shape), qkv_(qkv), dout_(dout) {}

  Reference compute() {
    const Elems elems = shape_.batch * shape_.seq_len * shape_.heads * shape_.head_dim;
    result_ = {Doubles(elems), Doubles(shape_.batch * shape_.heads * shape_.seq_len), Doubles(3 * elems)};
    for (std::int64_t b = 0; b < shape_.batch; ++b) {
      for (std::int64_t h = 0; h < shape_.heads; ++h) {
        for (std::int64_t i = 0; i < shape_.seq_len; ++i) {
          query(b, h, i);
        }
      }
    }
    return result_;
  }

 private:
  // Element d of row t of q, k or v.
  std::size_t at(std::int64_t b, std::int64_t t, std::int64_t part, std::int64_t h, std::int64_t d) const {
    return static_cast<std::size_t>((((b * shape_.seq_len + t) * 3 + part) * shape_.heads + h) * shape_.head_dim + d);
  }
  std::size_t out_at(std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t d) const {
    return static_cast<std::size_t>(((b * shape_.seq_len + t) * shape_.heads + h) * shape_.head_dim + d);
  }
  double factor(std::int64_t b, std::int64_t h, std::int64_t i, std::int64_t j) const {
    if (shape_.dropout == 0) {
      return 1;
    }
    const Elems element = ((b * shape_.heads + h) * shape_.seq_len + i) * shape_.seq_len + j;
    return shape_.rng.bits(element) < drop_threshold(shape_.dropout) ? 0
                                                                     : 1 / (1 - static_cast<double>(shape_.dropout));
  }

  void query(std::int64_t b, std::int64_t h, std::int64_t i) {
    Doubles p;
    for (std::int64_t j = 0; j <= i; ++j) {
      double score = 0;
      for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
        score += qkv_[at(b, i, 0, h, d)] * qkv_[at(b, j, 1, h, d)];
      }
      p.push_back(score * shape_.scale);
    }
    const double maximum = *std::max_element(p.begin(), p.end());
    double sum = 0;
    for (double& value : p) {
      sum += value = std::exp(value - maximum);
    }
    result_.lse[static_cast<std::size_t>((b * shape_.heads + h) * shape_.seq_len + i)] = maximum + std::log(sum);
    Doubles dp(p.size());
    double delta = 0;
    for (std::int64_t j = 0; j <= i; ++j) {
      const auto key = static_cast<std::size_t>(j);
      p[key] /= sum;
      const double kept = p[key] * factor(b, h, i, j);
      for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
        const double dout = dout_[out_at(b, i, h, d)];
        result_.out[out_at(b, i, h, d)] += kept * qkv_[at(b, j, 2, h, d)];
        result_.dqkv[at(b, j, 2, h, d)] += kept * dout;
        dp[key] += factor(b, h, i, j) * dout * qkv_[at(b, j, 2, h, d)];
      }
      delta += p[key] * dp[key];
    }
    for (std::int64_t j = 0; j <= i; ++j) {
      const auto key = static_cast<std::size_t>(j);
      const double ds = p[key] * (dp[key] - delta) * shape_.scale;
      for (std::int64_t d = 0; d < shape_.head_dim; ++d) {
        result_.dqkv[at(b, i, 0, h, d)] += ds * qkv_[at(b, j, 1, h, d)];
        result_.dqkv[at(b, j, 1, h, d)] += ds * qkv_[at(b, i, 0, h, d)];
      }
    }
  }

  AttentionShape shape_;
  const Doubles& qkv_;
  const Doubles& dout_;
  Reference result_;
};

// One attention, forward and backward, on fixed random input. Outputs start as not-a-number, as does the workspace.
struct Problem {
  explicit Problem(const AttentionShape& shape)
      : shape(shape),
        elems(shape.batch * shape.seq_len * shape.heads * shape.head_dim),
        qkv(random_array(shape.dtype, 3 * elems, 1)),
        dout(random_array(shape.dtype, elems, 2)),
        out(shape.dtype, elems),
        dqkv(shape.dtype, 3 * elems),
        lse(static_cast<std::size_t>(shape.batch * shape.heads * shape.seq_len)) {}

  void run(int threads) {
    cpu::Machine machine(threads);
    forget();
    AttentionForward forward = forward_kernel();
    std::vector<float> forward_workspace(static_cast<std::size_t>(cpu::workspace_of_kernel(machine, forward) / 4),
                                         kNan);
    forward.workspace = forward_workspace.data();
    cpu::run_kernel(machine, forward);
    AttentionBackward backward = backward_kernel();
    std::vector<float> backward_workspace(static_cast<std::size_t>(cpu::workspace_of_kernel(machine, backward) / 4),
                                          kNan);
    backward.workspace = backward_workspace.data();
    cpu::run_kernel(machine, backward);
  }

  // In f32 arithmetic, whatever the processor has.
  void run_portably() {
    forget();
    const AttentionForward forward = forward_kernel();
    std::vector<float> forward_scratch(static_cast<std::size_t>(cpu::attention::portable::scratch_bytes(forward) / 4),
                                       kNan);
    const AttentionBackward backward = backward_kernel();
    std::vector<float> backward_scratch(static_cast<std::size_t>(cpu::attention::portable::scratch_bytes(backward) / 4),
                                        kNan);
    for (std::int64_t b = 0; b < shape.batch; ++b) {
      for (std::int64_t h = 0; h < shape.heads; ++h) {
        cpu::attention::portable::forward(forward, {b, h}, {0, shape.seq_len}, forward_scratch.data());
        cpu::attention::portable::backward(backward, {b, h}, backward_scratch.data());
      }
    }
  }

  void forget() {
    std::fill(lse.begin(), lse.end(), kNan);
    for (Elems i = 0; i < 3 * elems; ++i) {
      out.set(i % elems, kNan);
      dqkv.set(i, kNan);
    }
  }
  AttentionForward forward_kernel() { return {shape, qkv.data(), out.data(), lse.data(), nullptr}; }
  AttentionBackward backward_kernel() {
    return {shape, qkv.data(), out.data(), lse.data(), dout.data(), dqkv.data(), nullptr};
  }

  static constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

  AttentionShape shape;
  Elems elems;
  Array qkv, dout, out, dqkv;
  std::vector<float> lse;
};

// Root mean square of the difference, relative to that of what is expected.
double distance(const Doubles& actual, const Doubles& expected) {
  double differences = 0;
  double squares = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    differences += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    squares += expected[i] * expected[i];
  }
  return std::sqrt(differences / squares);
}

AttentionShape shape_of(std::int64_t batch, std::int64_t seq_len, std::int64_t heads, std::int64_t head_dim,
                        float dropout, DType dtype) {
  return {.batch = batch,
          .seq_len = seq_len,
          .heads = heads,
          .head_dim = head_dim,
          .scale = 1 / std::sqrt(static_cast<float>(head_dim)),
          .dropout = dropout,
          .rng = {.seed = 0x123456789abcdef0, .offset = 0xfffffff0},
          .dtype = dtype};
}

class AttentionTest : public testing::TestWithParam<AttentionShape> {};

void expect_near(Problem& problem, const Reference& expected) {
  const bool rounded = problem.shape.dtype == DType::bf16;
  EXPECT_LT(distance(problem.out.doubles(), expected.out), rounded ? 4e-3 : 5e-7);
  EXPECT_LT(distance(Doubles(problem.lse.begin(), problem.lse.end()), expected.lse), rounded ? 3e-6 : 3e-7);
  EXPECT_LT(distance(problem.dqkv.doubles(), expected.dqkv), rounded ? 8e-3 : 1e-6);
}

Reference reference_of(Problem& problem) {
  const Doubles qkv = problem.qkv.doubles();
  const Doubles dout = problem.dout.doubles();
  return ReferenceAttention(problem.shape, qkv, dout).compute();
}

TEST_P(AttentionTest, AgreesWithFloat64) {
  Problem problem(GetParam());
  const Reference expected = reference_of(problem);
  for (const int threads : {1, 2, 3}) {
    problem.run(threads);
    expect_near(problem, expected);
  }
}

TEST_P(AttentionTest, AgreesWithFloat64WithoutTileRegisters) {
  Problem problem(GetParam());
  problem.run_portably();
  expect_near(problem, reference_of(problem));
}

TEST_P(AttentionTest, RepeatsItsBitsOnAnyNumberOfThreads) {
  Problem problem(GetParam());
  problem.run(2);
  const auto out = problem.out.bytes();
  const auto lse = problem.lse;
  const auto dqkv = problem.dqkv.bytes();
  for (const int threads : {2, 1, 3, 5}) {
    problem.run(threads);
    EXPECT_EQ(problem.out.bytes(), out);
    EXPECT_EQ(problem.lse, lse);
    EXPECT_EQ(problem.dqkv.bytes(), dqkv);
  }
}

TEST_P(AttentionTest, AsksForNoMoreScratchThanItHasTasks) {
  Problem problem(GetParam());
  cpu::Machine one(1);
  cpu::Machine many(7);
  const std::int64_t heads = problem.shape.batch * problem.shape.heads;
  const std::int64_t most_parts = ceil_div(problem.shape.seq_len, 64);
  EXPECT_EQ(cpu::workspace_of_kernel(many, problem.backward_kernel()),
            std::min<std::int64_t>(7, heads) * cpu::workspace_of_kernel(one, problem.backward_kernel()));
  EXPECT_EQ(cpu::workspace_of_kernel(many, problem.forward_kernel()),
            std::min<std::int64_t>(7, heads * most_parts) * cpu::workspace_of_kernel(one, problem.forward_kernel()));
}

std::vector<AttentionShape> shapes() {
  std::vector<AttentionShape> shapes;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const float dropout : {0.0F, 0.25F}) {
      shapes.push_back(shape_of(1, 1, 1, 5, dropout, dtype));
      shapes.push_back(shape_of(2, 3, 2, 16, dropout, dtype));
      shapes.push_back(shape_of(2, 33, 3, 5, dropout, dtype));
      shapes.push_back(shape_of(1, 64, 2, 64, dropout, dtype));
      shapes.push_back(shape_of(1, 129, 1, 40, dropout, dtype));
      shapes.push_back(shape_of(1, 200, 2, 64, dropout, dtype));
      shapes.push_back(shape_of(1, 70, 1, 80, dropout, dtype));
      shapes.push_back(shape_of(1, 100, 1, 128, dropout, dtype));
    }
  }
  return shapes;
}

std::string label(const testing::TestParamInfo<AttentionShape>& info) {
  const AttentionShape& shape = info.param;
  return fmt::format("{}_B{}_T{}_H{}_D{}{}", name(shape.dtype), shape.batch, shape.seq_len, shape.heads, shape.head_dim,
                     shape.dropout > 0 ? "_dropout" : "");
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionTest, testing::ValuesIn(shapes()), label);

TEST(Attention, LargeScoresStayFinite) {
  Problem problem(shape_of(1, 40, 1, 16, 0, DType::f32));
  for (Elems i = 0; i < 3 * problem.elems; ++i) {
    problem.qkv.set(i, static_cast<float>(problem.qkv.doubles()[static_cast<std::size_t>(i)]) * 100);
  }
  const Reference expected = reference_of(problem);
  problem.run(1);
  // Scores of a thousand times the usual size carry a thousand times the usual rounding.
  EXPECT_LT(distance(problem.out.doubles(), expected.out), 1e-2);
  EXPECT_LT(distance(Doubles(problem.lse.begin(), problem.lse.end()), expected.lse), 1e-6);
}

// Whether they become zero depends on the processor, but not on where in a row they are.
TEST(Attention, SubnormalsAreRoundedAlikeInAllOfARow) {
  constexpr std::int64_t kDim = 45;  // of no vector's length
  constexpr float kSubnormal = 0x1p-130F;
  Problem problem(shape_of(1, 1, 1, kDim, 0, DType::bf16));
  for (Elems i = 0; i < kDim; ++i) {
    problem.qkv.set(2 * kDim + i, kSubnormal);
    problem.dout.set(i, kSubnormal);
  }
  for (const bool portably : {false, true}) {
    if (portably) {
      problem.run_portably();
    } else {
      problem.run(1);
    }
    const Doubles out = problem.out.doubles();
    const Doubles dqkv = problem.dqkv.doubles();
    const Doubles dvalues(dqkv.end() - kDim, dqkv.end());
    for (const Doubles& row : {out, dvalues}) {
      EXPECT_TRUE(row.front() == 0 || row.front() == double{kSubnormal}) << row.front();
      EXPECT_EQ(row, Doubles(row.size(), row.front()));
    }
  }
}

TEST(Attention, NotANumberReachesTheQueriesThatSeeItAndNoOthers) {
  Problem problem(shape_of(1, 40, 1, 16, 0, DType::f32));
  const std::int64_t bad_key = 17;
  problem.qkv.set(bad_key * 3 * 16 + 16, std::numeric_limits<float>::quiet_NaN());
  problem.run(1);
  const Doubles out = problem.out.doubles();
  for (std::int64_t t = 0; t < 40; ++t) {
    EXPECT_EQ(std::isnan(out[static_cast<std::size_t>(t * 16)]), t >= bad_key) << t;
  }
}

}  // namespace
}  // namespace retape::nn
