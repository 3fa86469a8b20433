#include "tests/support/op_bench.h"

#include <optional>
#include <random>

#include "tests/support/test_ops.h"

namespace retape::nn {
namespace {

// More than one, so that kernels split their work.
constexpr int kThreads = 2;

double rounded(double value, DType dtype) {
  const auto narrow = static_cast<float>(value);
  return dtype == DType::bf16 ? to_float(to_bf16(narrow)) : narrow;
}

Array64 normal_array(const Shape& shape, double mean, double scale, DType dtype, std::mt19937& engine) {
  std::normal_distribution<double> normal(mean, scale);
  Array64 array(shape);
  for (double& value : array.values) {
    value = rounded(normal(engine), dtype);
  }
  return array;
}

Array64 index_array(const Shape& shape, std::int64_t below, std::mt19937& engine) {
  std::uniform_int_distribution<std::int64_t> uniform(0, below - 1);
  Array64 array(shape);
  for (double& value : array.values) {
    value = static_cast<double>(uniform(engine));
  }
  return array;
}

Tensor to_tensor(Device& device, const Array64& array, DType dtype) {
  Tensor tensor(device, array.shape, dtype, Tag::parameters);
  if (device.computes()) {
    for (Elems i = 0; i < tensor.elems(); ++i) {
      set_element(tensor, i, array[i]);
    }
  }
  return tensor;
}

}  // namespace

OpCaseData::OpCaseData(const OpCase& described, DType case_dtype)
    : op_case(&described), dtype(case_dtype), weights(Shape{}) {
  std::mt19937 engine(1);
  for (const OpInput& input : described.inputs) {
    inputs.push_back(input.kind == OpInput::Kind::index
                         ? index_array(input.shape, input.below, engine)
                         : normal_array(input.shape, input.mean, input.scale, dtype, engine));
  }
  const Shape shape = output().shape;
  weights = normal_array(shape, 0, 1, dtype, engine);
  if (shape == Shape{}) {
    weights[0] = 1;  // a loss already
  }
}

double OpCaseData::loss() const {
  const Array64 y = output();
  double sum = 0;
  for (Elems i = 0; i < y.shape.elems(); ++i) {
    sum += weights[i] * y[i];
  }
  return sum;
}

OpBench::OpBench(const OpCaseData& data, DeviceKind device)
    : data_(data),
      device_({.kind = device, .threads = kThreads}),
      context_(device_, OpCaseData::kRng),
      weights_(to_tensor(device_, data.weights, DType::f32)),
      slots_(data.inputs.size()) {
  for (std::size_t i = 0; i < data.inputs.size(); ++i) {
    const OpInput::Kind kind = data.op_case->inputs[i].kind;
    inputs_.push_back(to_tensor(device_, data.inputs[i], kind == OpInput::Kind::index ? DType::i32 : data.dtype));
    slots_[i].dtype = kind == OpInput::Kind::activation ? data.dtype : DType::f32;
  }
}

std::vector<std::size_t> OpBench::differentiable() const {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].dtype() != DType::i32) {
      found.push_back(i);
    }
  }
  return found;
}

Vars OpBench::leaves(Tape& tape, std::uint32_t wanted) {
  Vars vars;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const bool has_gradient = inputs_[i].dtype() != DType::i32 && contains(wanted, i);
    vars.push_back(tape.leaf(inputs_[i], has_gradient ? &slots_[i] : nullptr, data_.op_case->inputs[i].name));
  }
  return vars;
}

Var OpBench::apply(Tape& tape, std::uint32_t wanted) {
  return data_.op_case->apply(tape, leaves(tape, wanted));
}

Var OpBench::loss(Tape& tape, Var output, bool quadratic) {
  if (!quadratic && output.shape() == Shape{} && output.dtype() == DType::f32) {
    return output;
  }
  return tape.run<WeightedSum>({quadratic}, {std::move(output), tape.leaf(weights_)});
}

RawBytes OpBench::run(const Setting& setting) {
  context_.generator().set_state(OpCaseData::kRng);
  Tape tape(context_, {.record = true, .policy = setting.policy});
  Vars vars = leaves(tape, setting.wanted);
  std::optional<RegionScope> region;
  if (setting.region) {
    region.emplace(tape.region("case"));
    for (std::size_t i = 0; i < vars.size(); ++i) {
      if (data_.op_case->inputs[i].kind == OpInput::Kind::activation) {
        vars[i] = tape.run<Copy>({}, {std::move(vars[i])});
      }
    }
  }
  Var output = data_.op_case->apply(tape, vars);
  vars.clear();
  RawBytes output_bytes = bytes_of(output.data());
  Var root = loss(tape, std::move(output), setting.region);
  region.reset();
  tape.backward(std::move(root), {.seed = setting.seed});
  stats_ = tape.stats();
  return output_bytes;
}

void OpBench::forget_gradients() {
  for (GradientSlot& slot : slots_) {
    slot.gradient = Tensor();
  }
}

std::vector<RawBytes> OpBench::gradients() const {
  std::vector<RawBytes> all;
  for (const GradientSlot& slot : slots_) {
    all.push_back(slot.gradient.defined() ? bytes_of(slot.gradient) : RawBytes{});
  }
  return all;
}

RawBytes bytes_of(const Tensor& tensor) {
  RawBytes bytes(static_cast<std::size_t>(tensor.bytes()));
  tensor.device().copy_to_host(bytes.data(), tensor.data(), tensor.bytes());
  return bytes;
}

}  // namespace retape::nn
