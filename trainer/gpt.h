// GPT-2 (Radford et al. 2019): learned positions, pre-norm blocks, GELU in its tanh form, and a head that shares the
// token table.
//
// The model names regions ("h.0", "h.1", ...) and values; what is kept of them is not its business.
#pragma once

#include <memory>
#include <vector>

#include "nn/autograd/tape.h"
#include "nn/layers/layers.h"
#include "nn/layers/parameter.h"

namespace retape::trainer {

struct GptShape {
  std::int64_t layers = 0;   // L
  std::int64_t heads = 0;    // H
  std::int64_t dim = 0;      // C
  std::int64_t seq_len = 0;  // rows of the position table: the longest T
  std::int64_t vocab = 0;    // V
  float dropout = 0;         // of the embedding, the attention probabilities and both residual branches
  bool tie_embeddings = true;
  nn::DType dtype = nn::DType::f32;
};

class Gpt {
 public:
  // Weights are uninitialised until initialise() or an import.
  Gpt(nn::Device& device, const GptShape& shape);

  // Weights N(0, 0.02), those of the two projections back to the residual stream N(0, 0.02 / sqrt(2 L)); biases 0,
  // norms 1.
  void initialise(nn::Context& context, std::uint64_t seed);

  // scale times the mean cross-entropy over all positions. tokens, targets [B, T] i32.
  nn::Var loss(nn::Tape& tape, nn::Var tokens, nn::Var targets, float scale = 1);
  // What comes out of the last norm: [B, T, C].
  nn::Var hidden(nn::Tape& tape, nn::Var tokens);
  // Logits [B, V] f32 of the token that follows each row of `tokens`, for sampling.
  nn::Tensor next_logits(nn::Context& context, const nn::Tensor& tokens);

  // Without dropout, for evaluation and sampling; true again for training.
  void set_training(bool training) { training_ = training; }

  const GptShape& shape() const { return shape_; }
  // Names are those of Hugging Face's GPT-2: "transformer.h.0.attn.c_attn.weight".
  const nn::Parameters& parameters() const { return parameters_; }
  std::int64_t parameter_count() const;
  // FLOPs of forward and backward over one batch: 6 per token and parameter that multiplies, and those of attention.
  Flops step_flops(std::int64_t batch, std::int64_t seq_len) const;

 private:
  struct Block {
    Block(nn::Device& device, const GptShape& shape, std::int64_t layer);

    nn::Var operator()(nn::Tape& tape, nn::Var x, std::int64_t heads, float dropout);

    std::string region;
    nn::layers::LayerNorm ln_1;
    nn::layers::Linear attn_qkv;
    nn::layers::Linear attn_proj;
    nn::layers::LayerNorm ln_2;
    nn::layers::Linear mlp_up;
    nn::layers::Linear mlp_down;
  };

  nn::Parameter& head_table() { return lm_head_ ? *lm_head_ : token_table_; }
  float dropout() const { return training_ ? shape_.dropout : 0.0F; }

  GptShape shape_;
  nn::Parameter token_table_;     // [V, C]
  nn::Parameter position_table_;  // [seq_len, C]
  std::vector<std::unique_ptr<Block>> blocks_;
  nn::layers::LayerNorm final_norm_;
  std::unique_ptr<nn::Parameter> lm_head_;  // [V, C]; none where the token table is shared
  nn::Parameters parameters_;
  bool training_ = true;
};

}  // namespace retape::trainer
