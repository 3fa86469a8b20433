#include "trainer/learner.h"

#include <cmath>

#include "trainer/activation_settings.h"
#include "trainer/gradient_hash.h"

namespace retape::trainer {

GptShape gpt_shape(const Config& config, std::int64_t vocab) {
  const Config::Model& model = config.model;
  return {.layers = model.layers,
          .heads = model.heads,
          .dim = model.dim,
          .seq_len = model.seq_len,
          .vocab = vocab,
          .dropout = static_cast<float>(model.dropout),
          .tie_embeddings = model.tie_embeddings,
          .dtype = model.dtype};
}

Learner::Learner(nn::Device& device, const Config& config, std::int64_t vocab, LearnerOptions options)
    : config_(config),
      context_(device, {.seed = static_cast<std::uint64_t>(config.run.seed), .offset = 0}),
      model_(device, gpt_shape(config, vocab)),
      optimizer_(context_, options.trains ? model_.parameters() : nn::Parameters(),
                 {.beta1 = config.optimizer.betas[0],
                  .beta2 = config.optimizer.betas[1],
                  .eps = config.optimizer.eps,
                  .weight_decay = config.optimizer.weight_decay}),
      schedule_{.kind = config.optimizer.schedule == ScheduleChoice::cosine ? nn::ScheduleKind::cosine
                                                                            : nn::ScheduleKind::constant,
                .lr = config.optimizer.lr,
                .min_lr = config.optimizer.min_lr,
                .warmup_steps = config.optimizer.warmup_steps,
                .steps = config.train.steps},
      checkpointer_(context_, std::move(options.topology), std::move(options.warn)),
      recorded_(std::move(options.recorded)),
      observer_(options.observer) {
  const Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  if (activations.policy != CheckpointPolicy::none || activations.profile) {
    checkpointer_.set_policy(checkpoint_policy(config));
    checkpointer_.configure(checkpoint_settings(config, options.slab_bytes));
  }
  if (options.trains) {
    numbers_.emplace(context_, model_.parameters().size());
  }
  model_.initialise(context_, static_cast<std::uint64_t>(config.run.seed));
}

nn::Tensor Learner::tokens_tensor(const data::Batch& batch, const std::vector<std::int32_t>& tokens) {
  nn::Tensor tensor(context_.device(), nn::Shape{batch.rows, batch.seq_len}, nn::DType::i32, nn::Tag::activations);
  if (context_.device().computes()) {  // on meta a batch has a size and no tokens
    tensor.from_host<std::int32_t>(tokens);
  }
  return tensor;
}

void Learner::accumulate_gradients(const NextBatch& next_batch, StepResult& result) {
  const auto micro_steps = config_.train.grad_accum;
  for (std::int64_t micro = 0; micro < micro_steps; ++micro) {
    next_batch(batch_);
    nn::TapeOptions tape_options = checkpointer_.tape_options();
    if (observer_ != nullptr) {
      tape_options.observer = observer_;
    }
    nn::Tape tape(context_, std::move(tape_options));
    nn::Var micro_loss =
        model_.loss(tape, tape.leaf(tokens_tensor(batch_, batch_.inputs)),
                    tape.leaf(tokens_tensor(batch_, batch_.targets)), 1.0F / static_cast<float>(micro_steps));
    numbers_->add_loss(context_, micro_loss.data());
    if (recorded_) {
      recorded_(tape);
    }
    tape.backward(std::move(micro_loss));
    result.work += tape.stats();
  }
  result.offload_bytes = checkpointer_.take_offloaded_bytes();
  if (config_.activation_checkpointing.profile) {
    result.profile = checkpointer_.take_profile();
  }
}

StepResult Learner::step(std::int64_t step, const NextBatch& next_batch) {
  StepResult result;
  result.lr = schedule_.at(step);
  model_.set_training(true);
  const nn::Parameters& parameters = model_.parameters();
  nn::clear_gradients(parameters);
  numbers_->begin();
  accumulate_gradients(next_batch, result);
  numbers_->measure(context_, parameters, config_.optimizer.grad_clip);
  if (config_.run.hash_gradients) {
    const auto start = std::chrono::steady_clock::now();
    result.grad_hash = hash_gradients(parameters);
    result.hash_time = std::chrono::steady_clock::now() - start;
  }
  optimizer_.step(context_, result.lr, numbers_->scale());
  nn::clear_gradients(parameters);
  nn::StepNumbers::Values numbers = numbers_->read();
  if (!std::isfinite(numbers.loss) || !std::isfinite(numbers.norm)) {
    optimizer_.set_steps(optimizer_.steps() - 1);
    fail("[train] step {} of {}: expected a finite loss and gradient, got loss {} and gradient norm {}", step + 1,
         config_.train.steps, numbers.loss, numbers.norm);
  }
  result.loss = numbers.loss;
  result.grad_norm = numbers.norm;
  result.grad_norms = std::move(numbers.norms);
  return result;
}

double Learner::evaluate(const data::Batch& batch) {
  model_.set_training(false);
  nn::Tape tape(context_, {.record = false});
  const nn::Var loss =
      model_.loss(tape, tape.leaf(tokens_tensor(batch, batch.inputs)), tape.leaf(tokens_tensor(batch, batch.targets)));
  return loss.data().to_host<float>().front();
}

}  // namespace retape::trainer
