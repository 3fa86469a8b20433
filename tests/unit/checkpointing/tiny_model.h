// A GPT of a few numbers: real ops, with dropout, for tests that compare bits.
#pragma once

#include <cstddef>
#include <deque>
#include <string_view>
#include <vector>

#include "nn/autograd/tape.h"
#include "tests/unit/checkpointing/rank.h"

namespace retape::checkpointing {

using Contents = std::vector<std::byte>;

// How the blocks are run: in regions "h.0", "h.1", ..., or by Checkpointer::checkpoint().
enum class Form : std::uint8_t { regions, calls };

struct TinyModelOptions {
  int layers = 4;
  float dropout = 0.1F;
  nn::DType dtype = nn::DType::f32;
  std::string_view attention_rng = kDefaultRng;  // what the dropout of attention draws from
  bool frozen = false;                           // no parameter wants a gradient
};

// Two of them with the same options have the same parameters.
class TinyModel {
 public:
  static constexpr std::int64_t kBatch = 2;
  static constexpr std::int64_t kSeqLen = 5;
  static constexpr std::int64_t kDim = 8;
  static constexpr std::int64_t kHeads = 2;
  // Of one block's input on the device, in f32.
  static constexpr Bytes kInputBytes = round_up(kBatch * kSeqLen * kDim * 4, nn::Allocator::kAlignment);

  explicit TinyModel(nn::Device& device, const TinyModelOptions& options = {});

  nn::Var embed(nn::Tape& tape);
  nn::Var block(nn::Tape& tape, nn::Var x, int layer, Checkpointer& checkpointer);
  nn::Var loss(nn::Tape& tape, nn::Var x);
  // All of it.
  nn::Var forward(nn::Tape& tape, Checkpointer& checkpointer, Form form);

  // The bits of the gradients of all parameters, which are let go.
  Contents take_gradients();
  std::vector<float> gradient_values() const;
  void discard_gradients();

 private:
  static constexpr int kPerBlock = 12;
  struct Parameter {
    nn::Tensor value;
    nn::GradientSlot slot;
  };
  void add(nn::Device& device, const nn::Shape& shape, double low, double high);
  nn::Var parameter(nn::Tape& tape, int index);

  TinyModelOptions options_;
  nn::Tensor x_;
  nn::Tensor weights_;                // of the loss
  std::deque<Parameter> parameters_;  // of the embedding, then of each block
};

struct StepBits {
  Contents loss;
  Contents gradients;
  bool operator==(const StepBits&) const = default;
};

// Forward and backward, from the rank's seed.
StepBits step(Rank& rank, TinyModel& model, Form form = Form::regions);

// Those of a step that keeps everything.
StepBits kept_bits(const TinyModelOptions& options = {});

}  // namespace retape::checkpointing
