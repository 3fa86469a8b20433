// Everything that a training step touches: the model, the optimizer and the random numbers, on one device.
//
// The same code runs on the meta device, which is how memory is known before a run.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "checkpointing/checkpointer.h"
#include "data/batch.h"
#include "nn/optim/adamw.h"
#include "nn/optim/schedule.h"
#include "nn/optim/step_numbers.h"
#include "nn/runtime/context.h"
#include "trainer/config.h"
#include "trainer/gpt.h"

namespace retape::trainer {

struct StepResult {
  double loss = 0;  // mean over all tokens of the step
  double lr = 0;
  double grad_norm = 0;  // global, before clipping
  nn::TapeStats work;    // of forward and of rebuilds
  Bytes offload_bytes = 0;
  std::optional<checkpointing::Profile> profile;  // where activation_checkpointing.profile is on
  std::vector<double> grad_norms;                 // of each parameter, before clipping
  std::optional<std::uint64_t> grad_hash;         // of all gradients, before clipping
  std::chrono::nanoseconds hash_time{0};          // spent on it
};

struct LearnerOptions {
  parallel::Topology topology = parallel::Topology::single();
  bool trains = true;    // false: weights are only read, and the optimizer keeps no moments
  Bytes slab_bytes = 0;  // for contiguous checkpoints whose number is not set; from plan_memory()
  std::function<void(const std::string&)> warn;   // none: standard error
  std::function<void(const nn::Tape&)> recorded;  // sees the tape of every micro-step between forward and backward
  nn::TapeObserver* observer = nullptr;           // of those tapes, in the profile's place; must outlive the learner
};

class Learner {
 public:
  // Weights are random numbers of the seed until something else is loaded.
  Learner(nn::Device& device, const Config& config, std::int64_t vocab, LearnerOptions options = {});

  // Fills a batch with the rows of the next micro-step.
  using NextBatch = std::function<void(data::Batch&)>;

  // One optimizer step over grad_accum micro-steps; steps count from 0. Throws Error where the loss or the gradient is
  // not finite, before any weight has changed.
  StepResult step(std::int64_t step, const NextBatch& next_batch);

  // Mean loss of the rows of a batch, without dropout and without recording.
  double evaluate(const data::Batch& batch);

  nn::Context& context() { return context_; }
  Gpt& model() { return model_; }
  nn::AdamW& optimizer() { return optimizer_; }
  checkpointing::Checkpointer& checkpointer() { return checkpointer_; }
  nn::MemoryStats memory() const { return context_.memory().stats(); }

 private:
  nn::Tensor tokens_tensor(const data::Batch& batch, const std::vector<std::int32_t>& tokens);
  void accumulate_gradients(const NextBatch& next_batch, StepResult& result);

  const Config& config_;
  nn::Context context_;
  Gpt model_;
  nn::AdamW optimizer_;
  std::optional<nn::StepNumbers> numbers_;  // where it trains
  nn::Schedule schedule_;
  checkpointing::Checkpointer checkpointer_;
  std::function<void(const nn::Tape&)> recorded_;
  nn::TapeObserver* observer_;
  data::Batch batch_;
};

GptShape gpt_shape(const Config& config, std::int64_t vocab);

}  // namespace retape::trainer
