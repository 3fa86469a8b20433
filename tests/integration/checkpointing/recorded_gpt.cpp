#include "tests/integration/checkpointing/recorded_gpt.h"

#include <utility>

#include "tests/support/random_values.h"

namespace retape::integration {

RecordedGpt::RecordedGpt(GptOptions options)
    : options_(std::move(options)),
      device_({.kind = nn::DeviceKind::cpu, .threads = 1}),
      context_(device_, {.seed = 1, .offset = 0}),
      model_(device_, {.layers = options_.sizes.layers,
                       .heads = options_.sizes.heads,
                       .dim = options_.sizes.dim,
                       .seq_len = options_.sizes.seq_len,
                       .vocab = options_.sizes.vocab,
                       .dropout = 0.1F,
                       .dtype = options_.dtype}),
      checkpointer_(context_, options_.topology) {
  model_.initialise(context_, 1);
  checkpointer_.set_policy(options_.policy);
  checkpointer_.configure(options_.settings);
}

nn::Tensor RecordedGpt::tokens(std::uint64_t seed) {
  const GptSizes& sizes = options_.sizes;
  nn::Tensor tensor(device_, nn::Shape{sizes.batch, sizes.seq_len}, nn::DType::i32, nn::Tag::activations);
  tensor.from_host<std::int32_t>(testing::random_indices(sizes.rows(), seed, static_cast<std::int32_t>(sizes.vocab)));
  return tensor;
}

void RecordedGpt::forward() {
  nn::TapeOptions options = checkpointer_.tape_options();
  if (options_.observer != nullptr) {
    options.observer = options_.observer;
  }
  tape_.emplace(context_, options);
  loss_ = model_.loss(*tape_, tape_->leaf(tokens(1)), tape_->leaf(tokens(2)));
}

void RecordedGpt::backward() {
  tape_->backward(std::exchange(loss_, {}));
}

}  // namespace retape::integration
