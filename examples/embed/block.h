// A model of one's own: a stack of these.
#pragma once

#include "nn/layers/layers.h"
#include "nn/ops/dropout.h"
#include "squared_relu.h"

namespace embed {

// x + dropout(down(squared_relu(up(x)))), x [N, dim] f32
class Block {
 public:
  Block(nn::Context& context, std::int64_t dim)
      : up_(context.device(), "up", dim, 4 * dim, nn::DType::f32),
        down_(context.device(), "down", 4 * dim, dim, nn::DType::f32) {
    for (nn::layers::Linear* linear : {&up_, &down_}) {
      linear->weight.fill_normal(context, 0.1, context.generator().draw(linear->weight.elems()));
      linear->bias.fill(context, 0);
    }
  }

  nn::Var operator()(nn::Tape& tape, nn::Var x) {
    nn::Var y = down_(tape, squared_relu(tape, up_(tape, x)));
    return nn::dropout_residual(tape, std::move(y), std::move(x), 0.05F);
  }

  nn::Parameters parameters() { return {&up_.weight, &up_.bias, &down_.weight, &down_.bias}; }

 private:
  nn::layers::Linear up_;
  nn::layers::Linear down_;
};

}  // namespace embed
