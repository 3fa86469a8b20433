#include "tests/unit/checkpointing/tiny_model.h"

#include <cstring>

#include "nn/ops/attention.h"
#include "nn/ops/dropout.h"
#include "nn/ops/layer_norm.h"
#include "nn/ops/linear.h"
#include "tests/support/random_values.h"
#include "tests/support/test_ops.h"

namespace retape::checkpointing {
namespace {

using nn::Shape;
using nn::Tape;
using nn::Tensor;
using nn::Var;

Tensor random_tensor(nn::Device& device, const Shape& shape, nn::DType dtype, std::uint64_t seed, double low,
                     double high) {
  Tensor tensor(device, shape, dtype, nn::Tag::parameters);
  if (dtype == nn::DType::bf16) {
    tensor.from_host<nn::bf16>(retape::testing::random_values<nn::bf16>(tensor.elems(), seed, low, high));
  } else {
    tensor.from_host<float>(retape::testing::random_values<float>(tensor.elems(), seed, low, high));
  }
  return tensor;
}

Contents bits_of(const Tensor& tensor) {
  Contents bits(static_cast<std::size_t>(tensor.bytes()));
  tensor.device().copy_to_host(bits.data(), tensor.data(), tensor.bytes());
  return bits;
}

}  // namespace

TinyModel::TinyModel(nn::Device& device, const TinyModelOptions& options)
    : options_(options),
      x_(random_tensor(device, {kBatch, kSeqLen, kDim}, options.dtype, 1, -1, 1)),
      weights_(random_tensor(device, {kBatch, kSeqLen, kDim}, nn::DType::f32, 2, -1, 1)) {
  const auto linear = [&](std::int64_t in, std::int64_t out) {
    add(device, {in, out}, -0.5, 0.5);
    add(device, {out}, -0.1, 0.1);
  };
  const auto layer_norm = [&] {
    add(device, {kDim}, 0.8, 1.2);
    add(device, {kDim}, -0.1, 0.1);
  };
  linear(kDim, kDim);
  for (int layer = 0; layer < options.layers; ++layer) {
    layer_norm();
    linear(kDim, 3 * kDim);
    linear(kDim, kDim);
    layer_norm();
    linear(kDim, 4 * kDim);
    linear(4 * kDim, kDim);
  }
}

void TinyModel::add(nn::Device& device, const Shape& shape, double low, double high) {
  const std::uint64_t seed = 100 + parameters_.size();
  parameters_.push_back({.value = random_tensor(device, shape, options_.dtype, seed, low, high)});
}

Var TinyModel::parameter(Tape& tape, int index) {
  Parameter& parameter = parameters_[static_cast<std::size_t>(index)];
  return tape.leaf(parameter.value, options_.frozen ? nullptr : &parameter.slot);
}

Var TinyModel::embed(Tape& tape) {
  return nn::linear(tape, tape.leaf(x_), parameter(tape, 0), parameter(tape, 1), "embed");
}

Var TinyModel::block(Tape& tape, Var x, int layer, Checkpointer& checkpointer) {
  const int first = 2 + layer * kPerBlock;
  const auto of_block = [&](int index) { return parameter(tape, first + index); };
  Var qkv = nn::layer_norm(tape, x, of_block(0), of_block(1), 1e-5F, "ln1");
  qkv = nn::linear(tape, std::move(qkv), of_block(2), of_block(3), "qkv");
  Var attention;
  {
    const RngTracker::Fork fork = checkpointer.rng().fork(options_.attention_rng);
    attention = nn::attention(tape, std::move(qkv), kHeads, options_.dropout);
  }
  attention = nn::linear(tape, std::move(attention), of_block(4), of_block(5), "projection");
  x = nn::dropout_residual(tape, std::move(attention), std::move(x), options_.dropout, "middle");
  Var mlp = nn::layer_norm(tape, x, of_block(6), of_block(7), 1e-5F, "ln2");
  mlp = nn::linear_gelu(tape, std::move(mlp), of_block(8), of_block(9));
  mlp = nn::linear(tape, std::move(mlp), of_block(10), of_block(11), "mlp");
  return nn::dropout_residual(tape, std::move(mlp), std::move(x), options_.dropout, "block");
}

Var TinyModel::loss(Tape& tape, Var x) {
  return tape.run<nn::WeightedSum>({.quadratic = true}, {std::move(x), tape.leaf(weights_)});
}

Var TinyModel::forward(Tape& tape, Checkpointer& checkpointer, Form form) {
  Var x = embed(tape);
  for (int layer = 0; layer < options_.layers; ++layer) {
    if (form == Form::calls) {
      x = checkpointer.checkpoint(
          tape, [&](Var input, int index) { return block(tape, std::move(input), index, checkpointer); }, std::move(x),
          layer);
    } else {
      const nn::RegionScope region = tape.region(fmt::format("h.{}", layer));
      x = block(tape, std::move(x), layer, checkpointer);
    }
  }
  return loss(tape, std::move(x));
}

std::vector<float> TinyModel::gradient_values() const {
  std::vector<float> values;
  for (const Parameter& parameter : parameters_) {
    const std::vector<float> own = parameter.slot.gradient.to_host<float>();
    values.insert(values.end(), own.begin(), own.end());
  }
  return values;
}

Contents TinyModel::take_gradients() {
  const std::vector<float> values = gradient_values();
  Contents bits(values.size() * sizeof(float));
  std::memcpy(bits.data(), values.data(), bits.size());
  discard_gradients();
  return bits;
}

void TinyModel::discard_gradients() {
  for (Parameter& parameter : parameters_) {
    parameter.slot.gradient = Tensor();
  }
}

StepBits step(Rank& rank, TinyModel& model, Form form) {
  rank.seed();
  Tape tape(rank.context, rank.checkpointer.tape_options());
  Var loss = model.forward(tape, rank.checkpointer, form);
  StepBits bits{.loss = bits_of(loss.data())};
  tape.backward(std::move(loss));
  bits.gradients = model.take_gradients();
  return bits;
}

StepBits kept_bits(const TinyModelOptions& options) {
  Rank rank;
  TinyModel model(rank.device, options);
  return step(rank, model);
}

}  // namespace retape::checkpointing
