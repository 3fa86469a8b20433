#include "tests/support/test_ops.h"

#include "nn/autograd/gradients.h"

namespace retape::nn {

double element(const Tensor& tensor, Elems i) {
  switch (tensor.dtype()) {
    case DType::f32: return tensor.data_as<float>()[i];
    case DType::bf16: return to_float(tensor.data_as<bf16>()[i]);
    case DType::i32: return tensor.data_as<std::int32_t>()[i];
    case DType::f64: return tensor.data_as<double>()[i];
  }
  return 0;
}

void set_element(const Tensor& tensor, Elems i, double value) {
  switch (tensor.dtype()) {
    case DType::f32: tensor.data_as<float>()[i] = static_cast<float>(value); return;
    case DType::bf16: tensor.data_as<bf16>()[i] = to_bf16(static_cast<float>(value)); return;
    case DType::i32: tensor.data_as<std::int32_t>()[i] = static_cast<std::int32_t>(value); return;
    case DType::f64: tensor.data_as<double>()[i] = value; return;
  }
}

Outputs WeightedSum::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor loss(context.device(), Shape{}, DType::f32, context.output_tag());
  if (context.device().computes()) {
    double sum = 0;
    for (Elems i = 0; i < inputs[0].elems(); ++i) {
      const double y = element(inputs[0], i);
      sum += element(inputs[1], i) * (args.quadratic ? y + y * y / 2 : y);
    }
    set_element(loss, 0, sum);
  }
  return {loss};
}

void WeightedSum::backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients) {
  const GradSink dy = gradients.sink(0);
  if (!context.device().computes()) {
    return;
  }
  const double dloss = element(gradients.dout(0), 0);
  for (Elems i = 0; i < dy.tensor.elems(); ++i) {
    const double slope = args.quadratic ? 1 + element(saved.inputs[0], i) : 1;
    const double before = dy.accumulate ? element(dy.tensor, i) : 0;
    set_element(dy.tensor, i, before + dloss * element(saved.inputs[1], i) * slope);
  }
}

Outputs Copy::forward(Context& context, const Args& /*args*/, const Inputs& inputs) {
  const Tensor y(context.device(), inputs[0].shape(), inputs[0].dtype(), context.output_tag());
  context.device().copy(y.data(), inputs[0].data(), y.bytes());
  return {y};
}

void Copy::backward(Context& /*context*/, const Args& /*args*/, const Saved& /*saved*/, Gradients& gradients) {
  gradients.give(0, gradients.take_dout(0));
}

}  // namespace retape::nn
