// What is checked of every op case. The tests of ops instantiate these.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/support/op_bench.h"
#include "tests/support/op_case.h"
#include "tests/support/policies.h"
#include "tests/support/test_ops.h"

namespace retape::nn {

// Here and not beside the case, so that whoever instantiates the checks also links them.
std::vector<OpCaseParam> in_both_dtypes(const std::vector<OpCase>& cases) {
  std::vector<OpCaseParam> params;
  for (const OpCase& op_case : cases) {
    params.push_back({op_case, DType::f32});
    params.push_back({op_case, DType::bf16});
  }
  return params;
}

namespace {

struct Tolerance {
  double relative;
  double cancelling;

  // For a value among others of this root mean square.
  double of(double want, double size) const { return relative * (std::abs(want) + size + cancelling); }
};

Tolerance tolerance(const OpCaseParam& param) {
  return {param.dtype == DType::bf16 ? 0x1p-6 : 5e-6, param.op_case.cancelling};
}

double root_mean_square(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) {
    sum += value * value;
  }
  return std::sqrt(sum / static_cast<double>(values.size()));
}

std::vector<double> to_doubles(const Tensor& tensor) {
  std::vector<double> values;
  for (Elems i = 0; i < tensor.elems(); ++i) {
    values.push_back(element(tensor, i));
  }
  return values;
}

void expect_all_close(const std::vector<double>& got, const std::vector<double>& want, const Tolerance& tolerance,
                      std::string_view what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  const double size = root_mean_square(want);
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], tolerance.of(want[i], size)) << what << " at " << i;
  }
}

// Central differences of the reference's loss.
class FiniteDifferences {
 public:
  explicit FiniteDifferences(OpCaseData data) : data_(std::move(data)) {}

  // Along one element of an input, or along a direction in all of them.
  double by_element(std::size_t input, std::size_t i) {
    const auto shifted = [&](double step) {
      data_.inputs[input].values[i] += step;
      const double loss = data_.loss();
      data_.inputs[input].values[i] -= step;
      return loss;
    };
    return (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
  }

  double along(std::size_t input, const std::vector<double>& direction) {
    const std::vector<double> here = data_.inputs[input].values;
    const auto shifted = [&](double step) {
      for (std::size_t i = 0; i < here.size(); ++i) {
        data_.inputs[input].values[i] = here[i] + step * direction[i];
      }
      return data_.loss();
    };
    const double derivative = (shifted(kStep) - shifted(-kStep)) / (2 * kStep);
    data_.inputs[input].values = here;
    return derivative;
  }

 private:
  static constexpr double kStep = 1e-5;
  OpCaseData data_;
};

// Some elements one by one, and all of them together along random signs.
void expect_gradient(FiniteDifferences& differences, std::size_t input, const std::vector<double>& got,
                     const Tolerance& tolerance, std::string_view name) {
  constexpr std::size_t kSampled = 40;
  std::mt19937 engine(2);
  const double size = root_mean_square(got);
  const std::size_t stride = std::max<std::size_t>(1, got.size() / kSampled);
  for (std::size_t i = 0; i < got.size(); i += stride) {
    const double want = differences.by_element(input, i);
    EXPECT_NEAR(got[i], want, tolerance.of(want, size)) << name << " at " << i;
  }
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<double> signs(got.size());
    double projected = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
      signs[i] = engine() % 2 == 0 ? 1 : -1;
      projected += got[i] * signs[i];
    }
    const double norm = size * std::sqrt(static_cast<double>(got.size()));
    EXPECT_NEAR(projected, differences.along(input, signs), tolerance.of(0, norm)) << name << ", all elements";
  }
}

class AllocationLog final : public AllocatorObserver {
 public:
  explicit AllocationLog(Device& device) : device_(device) { device_.memory().observe(this); }
  ~AllocationLog() override { device_.memory().observe(nullptr); }
  AllocationLog(const AllocationLog&) = delete;
  AllocationLog& operator=(const AllocationLog&) = delete;

  void on_allocate(Tag tag, Bytes bytes) override { events_.emplace_back(name(tag), bytes); }
  void on_free(Tag tag, Bytes bytes) override { events_.emplace_back(name(tag), -bytes); }
  const std::vector<std::pair<std::string_view, Bytes>>& events() const { return events_; }

 private:
  Device& device_;
  std::vector<std::pair<std::string_view, Bytes>> events_;
};

void expect_same(const std::vector<RawBytes>& got, const std::vector<RawBytes>& want, const OpCase& op_case,
                 std::string_view where) {
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_TRUE(got[i] == want[i]) << where << ": gradient of " << op_case.inputs[i].name << " has other bits";
  }
}

// The case of a test with its numbers.
struct Subject {
  explicit Subject(const OpCaseParam& param) : op_case(param.op_case), data(op_case, param.dtype) {}

  const OpCase& op_case;
  OpCaseData data;
  OpBench bench{data, DeviceKind::cpu};
};

}  // namespace

TEST_P(OpCaseTest, ForwardIsThatOfTheReference) {
  Subject subject(GetParam());
  Tape tape(subject.bench.context());
  const Var y = subject.bench.apply(tape);
  const Array64 want = subject.data.output();
  EXPECT_EQ(y.shape(), want.shape);
  expect_all_close(to_doubles(y.data()), want.values, tolerance(GetParam()), "output");
}

TEST_P(OpCaseTest, GradientsAreFiniteDifferencesOfTheReference) {
  Subject subject(GetParam());
  subject.bench.run();
  FiniteDifferences differences(subject.data);
  for (const std::size_t i : subject.bench.differentiable()) {
    const Tensor& gradient = subject.bench.gradient(i);
    ASSERT_TRUE(gradient.defined()) << subject.op_case.inputs[i].name;
    EXPECT_EQ(gradient.shape(), subject.op_case.inputs[i].shape);
    EXPECT_EQ(gradient.dtype(),
              subject.op_case.inputs[i].kind == OpInput::Kind::parameter ? DType::f32 : GetParam().dtype);
    expect_gradient(differences, i, to_doubles(gradient), tolerance(GetParam()), subject.op_case.inputs[i].name);
  }
}

TEST_P(OpCaseTest, RepeatsItsBits) {
  Subject subject(GetParam());
  const RawBytes output = subject.bench.run();
  const std::vector<RawBytes> gradients = subject.bench.gradients();
  subject.bench.forget_gradients();
  EXPECT_TRUE(subject.bench.run() == output) << "output has other bits";
  expect_same(subject.bench.gradients(), gradients, subject.op_case, "again");
}

TEST_P(OpCaseTest, DrawsItsRandomElementsOnce) {
  Subject subject(GetParam());
  const auto groups = static_cast<std::uint64_t>(ceil_div(subject.op_case.random_elems, 4));
  subject.bench.run();
  EXPECT_EQ(subject.bench.context().generator().state(),
            (RngState{OpCaseData::kRng.seed, OpCaseData::kRng.offset + groups}));
}

TEST_P(OpCaseTest, SavesExactlyWhatItDeclares) {
  Subject subject(GetParam());
  if (!subject.op_case.op) {
    return;
  }
  OpBench& bench = subject.bench;
  const auto& [op, args] = *subject.op_case.op;
  const Bytes before = bench.live_bytes();
  Outputs outputs =
      op->forward(bench.context(), args.get(), {.tensors = bench.inputs(), .rng = OpCaseData::kRng, .recording = true});
  ASSERT_EQ(outputs.size(), op->outputs.size());
  Bytes saved = 0;
  for (std::size_t j = 0; j < outputs.size(); ++j) {
    saved += contains(op->reads(args.get()).outputs, j) ? round_up(outputs[j].bytes(), Allocator::kAlignment) : 0;
  }
  outputs.clear();
  {
    Tape tape(bench.context());
    bench.apply(tape);
    EXPECT_EQ(bench.live_bytes() - before, saved);
  }
  EXPECT_EQ(bench.live_bytes(), before);
}

TEST_P(OpCaseTest, LeavesNothingBehindButGradients) {
  Subject subject(GetParam());
  const Bytes before = subject.bench.live_bytes();
  subject.bench.run();
  subject.bench.forget_gradients();
  EXPECT_EQ(subject.bench.live_bytes(), before);
}

TEST_P(OpCaseTest, RecomputeChangesNoBit) {
  Subject subject(GetParam());
  OpBench& bench = subject.bench;
  const RawBytes output = bench.run({.region = true});
  const std::vector<RawBytes> gradients = bench.gradients();
  EXPECT_EQ(bench.stats().rebuilt_ops, 0);
  bench.forget_gradients();
  const DropInRegions policy;
  EXPECT_TRUE(bench.run({.region = true, .policy = &policy}) == output);
  if (subject.op_case.op && !subject.op_case.view) {  // a view is there as long as what it looks at
    EXPECT_EQ(bench.stats().rebuilt_ops > 0, !subject.op_case.op->op->traits.keep_saved);
  }
  expect_same(bench.gradients(), gradients, subject.op_case, "recomputed");
}

TEST_P(OpCaseTest, CheapRebuildsChangeNoBit) {
  Subject subject(GetParam());
  if (!subject.op_case.op) {
    return;
  }
  OpBench& bench = subject.bench;
  const RawBytes output = bench.run({.region = true});
  const std::vector<RawBytes> gradients = bench.gradients();
  const Op& op = *subject.op_case.op->op;
  for (const Rebuild& way : op.rebuilds) {
    bench.forget_gradients();
    const std::string_view dropped = op.outputs[static_cast<std::size_t>(way.output)];
    const DropNamed policy(dropped);
    bench.run({.region = true, .policy = &policy});
    EXPECT_EQ(bench.stats().rebuilt_ops, 1) << dropped;
    ASSERT_EQ(way.output, 0);
    const Elems elems = static_cast<Elems>(output.size()) / size_of(subject.data.dtype);
    EXPECT_EQ(bench.stats().rebuilt_flops, way.flops_per_elem * elems) << dropped << ": not the cheap way";
    expect_same(bench.gradients(), gradients, subject.op_case, dropped);
  }
}

TEST_P(OpCaseTest, AddsToGradientsThatAreThere) {
  constexpr float kOtherSeed = 0.7F;
  const double relative = GetParam().dtype == DType::bf16 ? 0x1p-7 : 1e-6;
  Subject subject(GetParam());
  OpBench& bench = subject.bench;
  bench.run();
  std::vector<std::vector<double>> sums(bench.inputs().size());
  for (const std::size_t i : bench.differentiable()) {
    sums[i] = to_doubles(bench.gradient(i));
    std::transform(sums[i].begin(), sums[i].end(), sums[i].begin(), [](double g) { return g * (1 + kOtherSeed); });
  }
  bench.run({.seed = kOtherSeed});
  for (const std::size_t i : bench.differentiable()) {
    expect_all_close(to_doubles(bench.gradient(i)), sums[i], {relative, subject.op_case.cancelling},
                     subject.op_case.inputs[i].name);
  }
}

TEST_P(OpCaseTest, AnUnwantedGradientIsNotMadeAndChangesNoOther) {
  Subject subject(GetParam());
  OpBench& bench = subject.bench;
  bench.run();
  const std::vector<RawBytes> all = bench.gradients();
  const std::vector<std::size_t> differentiable = bench.differentiable();
  for (const std::size_t i : differentiable) {
    for (const std::uint32_t wanted : {1U << i, ~(1U << i)}) {
      if (std::none_of(differentiable.begin(), differentiable.end(), [&](auto j) { return contains(wanted, j); })) {
        continue;
      }
      std::vector<RawBytes> expected = all;
      for (const std::size_t j : differentiable) {
        if (!contains(wanted, j)) {
          expected[j].clear();
        }
      }
      bench.forget_gradients();
      bench.run({.wanted = wanted});
      expect_same(bench.gradients(), expected, subject.op_case,
                  fmt::format("{} {}", contains(wanted, i) ? "only" : "without", subject.op_case.inputs[i].name));
    }
  }
}

TEST_P(OpCaseTest, WithoutGradientsItHasTheSameBitsAndHoldsNothing) {
  Subject subject(GetParam());
  OpBench& bench = subject.bench;
  const RawBytes output = bench.run();
  bench.forget_gradients();
  bench.device().memory().reset_peaks();
  const Bytes before = bench.live_bytes();
  for (const bool record : {false, true}) {
    bench.context().generator().set_state(OpCaseData::kRng);
    Tape tape(bench.context(), {.record = record});
    {
      const Var y = bench.apply(tape, record ? 0 : ~0U);
      EXPECT_FALSE(y.requires_grad());
      EXPECT_TRUE(bytes_of(y.data()) == output);
      EXPECT_EQ(y.data().storage() == bench.inputs().front().storage(), subject.op_case.view);
      const Bytes own = subject.op_case.view ? 0 : round_up(y.data().bytes(), Allocator::kAlignment);
      EXPECT_EQ(bench.live_bytes() - before, own);
    }
    EXPECT_EQ(bench.live_bytes(), before);
  }
  EXPECT_EQ(bench.device().memory().stats().peak_by_tag[static_cast<std::size_t>(Tag::gradients)], 0);
}

TEST_P(OpCaseTest, MetaAllocatesWhatTheCpuDoes) {
  const OpCaseData data(GetParam().op_case, GetParam().dtype);
  const DropInRegions drop;
  for (const OpBench::Setting& setting : {OpBench::Setting{}, OpBench::Setting{.region = true, .policy = &drop}}) {
    if (setting.region && data.weights.shape == Shape{}) {
      continue;  // what follows a loss scales its gradient by a number that meta does not have
    }
    OpBench cpu(data, DeviceKind::cpu);
    OpBench meta(data, DeviceKind::meta);
    const AllocationLog cpu_log(cpu.device());
    const AllocationLog meta_log(meta.device());
    cpu.run(setting);
    meta.run(setting);
    EXPECT_EQ(meta_log.events(), cpu_log.events());
    EXPECT_EQ(meta.device().memory().stats().peak, cpu.device().memory().stats().peak);
    EXPECT_EQ(meta.live_bytes(), cpu.live_bytes());
  }
}

TEST_P(OpErrorTest, NamesOpInputExpectedAndGot) {
  const OpErrorCase& error_case = GetParam();
  Device device({.kind = DeviceKind::meta, .threads = 1});
  Context context(device);
  Tape tape(context);
  Vars vars;
  for (const OpErrorCase::Input& input : error_case.inputs) {
    vars.push_back(tape.leaf(Tensor(device, input.shape, input.dtype, Tag::parameters)));
  }
  const Bytes before = device.memory().stats().live;
  EXPECT_THAT([&] { error_case.apply(tape, vars); }, testing::ThrowsMessage<ShapeError>(error_case.message));
  EXPECT_EQ(device.memory().stats().live, before);
  EXPECT_EQ(context.generator().state(), RngState());
}

}  // namespace retape::nn
