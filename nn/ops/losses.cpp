#include "nn/ops/losses.h"

#include "nn/kernels/cross_entropy.h"
#include "nn/kernels/launch.h"
#include "nn/kernels/reduction.h"
#include "nn/kernels/squared_error.h"
#include "nn/ops/check.h"
#include "nn/ops/check_ids.h"

namespace retape::nn {

Outputs MeanCrossEntropy::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor& logits = Checked(kTraits.name, "logits", inputs[kLogits]).floating().an_axis().not_empty();
  const Tensor& targets =
      Checked(kTraits.name, "targets", inputs[kTargets]).shape(logits.shape().without_back()).dtype(DType::i32);
  const std::int64_t rows = logits.shape().rows();
  const std::int64_t vocab = logits.shape().back();
  expect_ids(context, kTraits.name, "targets", targets, vocab);
  const Tensor loss = make_output(context, Shape{}, DType::f32);
  const Tensor losses(context.device(), Shape{rows}, DType::f32, Tag::workspace);
  launch(context, CrossEntropy{.logits = logits.data(),
                               .targets = targets.data_as<std::int32_t>(),
                               .losses = losses.data_as<float>(),
                               .rows = rows,
                               .vocab = vocab,
                               .logits_dtype = logits.dtype()});
  launch_with_workspace(
      context,
      RowSum{.x = losses.data(), .out = loss.data(), .rows = 1, .columns = rows, .divisor = static_cast<double>(rows)});
  return {loss};
}

void MeanCrossEntropy::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  const Tensor& logits = saved.inputs[kLogits];
  const std::int64_t rows = logits.shape().rows();
  const GradSink dlogits = gradients.sink(kLogits);
  launch(context, CrossEntropy{.logits = logits.data(),
                               .targets = saved.inputs[kTargets].data_as<std::int32_t>(),
                               .dloss = gradients.dout(0).data_as<float>(),
                               .dlogits = dlogits.tensor.data(),
                               .rows = rows,
                               .vocab = logits.shape().back(),
                               .gradient_scale = 1 / static_cast<float>(rows),
                               .accumulate = dlogits.accumulate,
                               .logits_dtype = logits.dtype(),
                               .dtype = dlogits.tensor.dtype()});
}

Cost MeanCrossEntropy::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  return {.flops = 8 * inputs[kLogits].elems(), .bytes = 2 * inputs[kLogits].elems() * size_of(DType::f32)};
}

Var cross_entropy(Tape& tape, Var logits, Var targets, std::string_view name) {
  return tape.run<MeanCrossEntropy>({}, {std::move(logits), std::move(targets)}, name);
}

Outputs MeanSquaredError::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor& x = Checked(kTraits.name, "x", inputs[kX]).floating().not_empty();
  const Tensor& target = Checked(kTraits.name, "target", inputs[kTarget]).shape(x.shape()).dtype(x.dtype());
  const Tensor loss = make_output(context, Shape{}, DType::f32);
  launch_with_workspace(
      context,
      MeanSquaredErrorForward{
          .a = x.data(), .b = target.data(), .loss = loss.data_as<float>(), .elems = x.elems(), .dtype = x.dtype()});
  return {loss};
}

void MeanSquaredError::backward(Context& context, const Args& /*args*/, const Saved& saved, Gradients& gradients) {
  for (const int input : {kX, kTarget}) {
    if (!gradients.wants(input)) {
      continue;
    }
    const Tensor& of = saved.inputs[static_cast<std::size_t>(input)];
    const Tensor& other = saved.inputs[input == kX ? kTarget : kX];
    const GradSink gradient = gradients.sink(input);
    launch(context, MeanSquaredErrorBackward{.a = of.data(),
                                             .b = other.data(),
                                             .dloss = gradients.dout(0).data_as<float>(),
                                             .da = gradient.tensor.data(),
                                             .elems = of.elems(),
                                             .accumulate = gradient.accumulate,
                                             .dtype = of.dtype(),
                                             .da_dtype = gradient.tensor.dtype()});
  }
}

Cost MeanSquaredError::cost(const Args& /*args*/, std::span<const Shape> inputs) {
  return {.flops = 3 * inputs[kX].elems(), .bytes = 2 * inputs[kX].elems() * size_of(DType::f32)};
}

Var mean_squared_error(Tape& tape, Var x, Var target, std::string_view name) {
  return tape.run<MeanSquaredError>({}, {std::move(x), std::move(target)}, name);
}

}  // namespace retape::nn
