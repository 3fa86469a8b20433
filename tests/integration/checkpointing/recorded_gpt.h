// One step of a model, forward and backward apart, to look at in between.
#pragma once

#include <optional>

#include "checkpointing/checkpointer.h"
#include "trainer/gpt.h"

namespace retape::integration {

struct GptSizes {
  std::int64_t layers = 0;
  std::int64_t batch = 0;
  std::int64_t seq_len = 0;
  std::int64_t dim = 0;
  std::int64_t heads = 0;
  std::int64_t vocab = 0;

  constexpr std::int64_t rows() const { return batch * seq_len; }  // B T
  constexpr Elems elems() const { return rows() * dim; }           // B T C
};

struct GptOptions {
  GptSizes sizes;
  nn::DType dtype = nn::DType::f32;
  checkpointing::Policy policy = checkpointing::none();
  checkpointing::Overrides settings;
  parallel::Topology topology = parallel::Topology::single();
  nn::TapeObserver* observer = nullptr;  // null leaves it to the settings
};

class RecordedGpt {
 public:
  explicit RecordedGpt(GptOptions options);

  void forward();
  void backward();

  nn::Tape& tape() { return *tape_; }
  checkpointing::Checkpointer& checkpointer() { return checkpointer_; }
  nn::Allocator& memory() { return device_.memory(); }
  Bytes live(nn::Tag tag) { return memory().stats().live_by_tag[static_cast<std::size_t>(tag)]; }

 private:
  nn::Tensor tokens(std::uint64_t seed);

  GptOptions options_;
  nn::Device device_;
  nn::Context context_;
  trainer::Gpt model_;
  checkpointing::Checkpointer checkpointer_;
  std::optional<nn::Tape> tape_;
  nn::Var loss_;
};

}  // namespace retape::integration
