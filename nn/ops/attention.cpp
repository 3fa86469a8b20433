#include "nn/ops/attention.h"

#include <cmath>

#include "nn/kernels/attention.h"
#include "nn/kernels/launch.h"
#include "nn/ops/check.h"

namespace retape::nn {
namespace {

AttentionShape kernel_shape(const Attention::Args& args, const Tensor& qkv, const RngRange& rng) {
  const std::int64_t head_dim = qkv.shape()[2] / 3 / args.heads;
  return {.batch = qkv.shape()[0],
          .seq_len = qkv.shape()[1],
          .heads = args.heads,
          .head_dim = head_dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(head_dim)),
          .dropout = args.dropout,
          .rng = rng,
          .dtype = qkv.dtype()};
}

}  // namespace

Outputs Attention::forward(Context& context, const Args& args, const Inputs& inputs) {
  const Tensor& qkv = Checked(kTraits.name, "qkv", inputs[kQkv]).rank(3).floating();
  expect_probability(kTraits.name, args.dropout);
  require<ShapeError>(args.heads > 0 && qkv.shape()[2] % (3 * args.heads) == 0,
                      "[attention] qkv: expected a last extent that 3 x {} heads divide, got {}", args.heads,
                      qkv.shape().str());
  Checked(kTraits.name, "qkv", qkv).not_empty();
  const AttentionShape shape = kernel_shape(args, qkv, inputs.rng);
  const Tensor out = make_output(context, qkv.shape().with_back(qkv.shape()[2] / 3), qkv.dtype());
  const Tensor lse = make_output(context, Shape{shape.batch, shape.heads, shape.seq_len}, DType::f32);
  launch_with_workspace(
      context, AttentionForward{.shape = shape, .qkv = qkv.data(), .out = out.data(), .lse = lse.data_as<float>()});
  return {out, lse};
}

void Attention::backward(Context& context, const Args& args, const Saved& saved, Gradients& gradients) {
  const Tensor& qkv = saved.inputs[kQkv];
  const Tensor dqkv(context.device(), qkv.shape(), qkv.dtype(), Tag::gradients);
  launch_with_workspace(context, AttentionBackward{.shape = kernel_shape(args, qkv, saved.rng),
                                                   .qkv = qkv.data(),
                                                   .out = saved.outputs[kOut].data(),
                                                   .lse = saved.outputs[kLse].data_as<float>(),
                                                   .dout = gradients.dout(kOut).data(),
                                                   .dqkv = dqkv.data()});
  gradients.give(kQkv, dqkv);
}

Cost Attention::cost(const Args& args, std::span<const Shape> inputs) {
  const Elems elems = inputs[kQkv].elems();
  const std::int64_t seq_len = inputs[kQkv][1];
  const Elems lse = inputs[kQkv][0] * args.heads * seq_len;
  return {.flops = 2 * (elems / 3) * seq_len, .bytes = (elems + elems / 3 + lse) * size_of(DType::f32)};
}

Elems Attention::rng_elems(const Args& args, std::span<const Shape> inputs) {
  const std::int64_t seq_len = inputs[kQkv][1];
  return args.dropout > 0 ? inputs[kQkv][0] * args.heads * seq_len * seq_len : 0;
}

Var attention(Tape& tape, Var qkv, std::int64_t heads, float dropout, std::string_view name) {
  return tape.run<Attention>({heads, dropout}, {std::move(qkv)}, name);
}

}  // namespace retape::nn
