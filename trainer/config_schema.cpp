#include "trainer/config_schema.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <limits>

namespace retape::trainer::schema {
namespace {

using std::string_view;

constexpr std::array<string_view, 4> kDevices{"auto", "cpu", "cuda", "meta"};
constexpr std::array<string_view, 5> kPresets{"none", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl"};
constexpr std::array<string_view, 2> kDTypes{"f32", "bf16"};
constexpr std::array<string_view, 4> kFormats{"auto", "text", "u16", "llmc"};
constexpr std::array<string_view, 2> kTokenizers{"byte", "char"};
constexpr std::array<string_view, 2> kOrders{"random", "sequential"};
constexpr std::array<string_view, 2> kSchedules{"constant", "cosine"};
constexpr std::array<string_view, 5> kBackends{"auto", "self", "thread", "mpi", "nccl"};
constexpr std::array<string_view, 6> kPolicies{"none", "full", "selective", "block", "uniform", "nested"};

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int64_t>::max();

// Bounds that no model reaches and within which products of two sizes stay far from overflow.
constexpr std::int64_t kMaxRanks = 1 << 20;
constexpr std::int64_t kMaxSteps = std::int64_t{1} << 40;
constexpr std::int64_t kMaxDim = 1 << 20;
constexpr std::int64_t kMaxLayers = 1 << 12;  // of more a plan would take more than seconds
constexpr std::int64_t kMaxCheckpoints = 1 << 14;
constexpr std::int64_t kMaxTokens = 1 << 24;

constexpr Interval kFraction{0.0, 1.0};
constexpr Interval kNotNegative{0.0, std::numeric_limits<double>::infinity()};
constexpr Interval kPositive{0.0, std::numeric_limits<double>::infinity(), false};

template <class Enum>
Choice choice(Enum* value, std::span<const string_view> names) {
  return {names, [value] { return static_cast<std::size_t>(*value); },
          [value](std::size_t index) { *value = static_cast<Enum>(index); }};
}

using Keys = std::vector<Key>;

void add_run(Keys& keys, Config::Run& run) {
  const string_view table = "run";
  keys.push_back({table, "name", "the run; names its folder, so no \"/\"", Text{&run.name, false}});
  keys.push_back({table, "out_dir", "its folder; empty: runs/NAME", Text{&run.out_dir, true}});
  keys.push_back({table, "seed", "of weights, batches and dropout", Integer{&run.seed, 0, kMaxInt}});
  keys.push_back({table, "device", "", choice(&run.device, kDevices)});
  keys.push_back({table, "threads", "0: every core", Integer{&run.threads, 0, 4096}});
  keys.push_back({table, "memory_limit", "of the device; \"0\": what it has", Size{&run.memory_limit}});
  keys.push_back({table, "hash_gradients", "a hash of all gradients in the metrics", Flag{&run.hash_gradients}});
  keys.push_back({table, "log_gradients", "each parameter's gradient norm in the metrics", Flag{&run.log_gradients}});
  keys.push_back({table, "log_every", "steps between lines, in a pipe", Integer{&run.log_every, 1, kMaxSteps}});
  keys.push_back(
      {table, "sample_tokens", "tokens of the sample at the end; 0: none", Integer{&run.sample_tokens, 0, kMaxTokens}});
  keys.push_back({table, "sample_prompt", "what the sample goes on from", Text{&run.sample_prompt, true}});
}

void add_model(Keys& keys, Config::Model& model) {
  const string_view table = "model";
  keys.push_back({table, "preset", "", choice(&model.preset, kPresets)});
  keys.push_back({table, "layers", "blocks of attention and MLP", Integer{&model.layers, 1, kMaxLayers}});
  keys.push_back({table, "heads", "of attention; a divisor of dim", Integer{&model.heads, 1, kMaxDim}});
  keys.push_back({table, "dim", "channels", Integer{&model.dim, 1, kMaxDim}});
  keys.push_back({table, "seq_len", "tokens of context", Integer{&model.seq_len, 1, kMaxTokens}});
  keys.push_back({table, "vocab", "0: what the tokenizer or token file says", Integer{&model.vocab, 0, kMaxTokens}});
  keys.push_back({table, "dropout", "share of values, below 1", Number{&model.dropout, kFraction}});
  keys.push_back({table, "tie_embeddings", "the head shares the token table", Flag{&model.tie_embeddings}});
  keys.push_back({table, "init_from", "safetensors to start from; empty: random", Text{&model.init_from, true}});
  keys.push_back({table, "dtype", "", choice(&model.dtype, kDTypes)});
}

void add_data(Keys& keys, Config::Data& data) {
  const string_view table = "data";
  keys.push_back({table, "train", "files or patterns", TextList{&data.train}});
  keys.push_back({table, "val", "the same; none: val_fraction of train", TextList{&data.val}});
  keys.push_back({table, "val_fraction", "the last part of train", Number{&data.val_fraction, kFraction}});
  keys.push_back({table, "format", "", choice(&data.format, kFormats)});
  keys.push_back({table, "tokenizer", "", choice(&data.tokenizer, kTokenizers)});
  keys.push_back({table, "order", "", choice(&data.order, kOrders)});
  keys.push_back({table, "allow_change", "goes on with other tokens than before", Flag{&data.allow_change}});
}

void add_train(Keys& keys, Config::Train& train) {
  const string_view table = "train";
  keys.push_back({table, "steps", "updates of the weights", Integer{&train.steps, 1, kMaxSteps}});
  keys.push_back({table, "batch_size", "sequences of a micro-step", Integer{&train.batch_size, 1, kMaxTokens}});
  keys.push_back({table, "grad_accum", "micro-steps of a step", Integer{&train.grad_accum, 1, kMaxTokens}});
  keys.push_back({table, "eval_every", "steps; 0: never", Integer{&train.eval_every, 0, kMaxSteps}});
  keys.push_back({table, "eval_batches", "0: the whole validation set", Integer{&train.eval_batches, 0, kMaxSteps}});
  keys.push_back({table, "save_every", "steps; 0: at the end only", Integer{&train.save_every, 0, kMaxSteps}});
  keys.push_back({table, "keep_last", "checkpoints that stay", Integer{&train.keep_last, 1, kMaxSteps}});
  keys.push_back({table, "resume", "\"auto\", \"never\" or the path of a checkpoint", Text{&train.resume, false}});
}

void add_optimizer(Keys& keys, Config::Optimizer& optimizer) {
  const string_view table = "optimizer";
  keys.push_back({table, "lr", "learning rate", Number{&optimizer.lr, kNotNegative}});
  keys.push_back({table, "min_lr", "where the cosine ends", Number{&optimizer.min_lr, kNotNegative}});
  keys.push_back(
      {table, "warmup_steps", "steps over which the rate rises", Integer{&optimizer.warmup_steps, 0, kMaxSteps}});
  keys.push_back({table, "schedule", "", choice(&optimizer.schedule, kSchedules)});
  keys.push_back({table, "betas", "decay of AdamW's moments", NumberPair{&optimizer.betas, kFraction}});
  keys.push_back({table, "eps", "AdamW's", Number{&optimizer.eps, kPositive}});
  keys.push_back({table, "weight_decay", "AdamW's", Number{&optimizer.weight_decay, kNotNegative}});
  keys.push_back(
      {table, "grad_clip", "largest gradient norm; 0: no clipping", Number{&optimizer.grad_clip, kNotNegative}});
}

void add_parallel(Keys& keys, Config::Parallel& parallel) {
  const string_view table = "parallel";
  keys.push_back({table, "tensor", "tensor-parallel ranks; this version: 1", Integer{&parallel.tensor, 1, kMaxRanks}});
  keys.push_back({table, "data", "data-parallel ranks; this version: 1", Integer{&parallel.data, 1, kMaxRanks}});
  keys.push_back({table, "sequence", "needs tensor above 1", Flag{&parallel.sequence}});
  keys.push_back({table, "backend", "", choice(&parallel.backend, kBackends)});
}

void add_activation_checkpointing(Keys& keys, Config::ActivationCheckpointing& activations) {
  const string_view table = "activation_checkpointing";
  keys.push_back({table, "policy", "", choice(&activations.policy, kPolicies)});
  keys.push_back(
      {table, "layers", "N of full, block, uniform and nested", Integer{&activations.layers, 1, kMaxLayers}});
  keys.push_back({table, "recompute", "names of ops or values, of selective", TextList{&activations.recompute}});
  keys.push_back(
      {table, "deepspeed_config", "a JSON file with the keys below", Text{&activations.deepspeed_config, true}});
  keys.push_back(
      {table, "partition_activations", "over tensor-parallel ranks", Flag{&activations.partition_activations}});
  keys.push_back({table, "cpu_checkpointing", "keeps checkpoints on the host", Flag{&activations.cpu_checkpointing}});
  keys.push_back({table, "contiguous_memory_optimization", "keeps them in one block",
                  Flag{&activations.contiguous_memory_optimization}});
  keys.push_back({table, "number_checkpoints", "in that block; 0: measured",
                  Integer{&activations.number_checkpoints, 0, kMaxCheckpoints}});
  keys.push_back({table, "synchronize_checkpoint_boundary", "waits for copies",
                  Flag{&activations.synchronize_checkpoint_boundary}});
  keys.push_back({table, "profile", "a table of regions at the end", Flag{&activations.profile}});
  keys.push_back(
      {table, "host_memory_limit", "for checkpoints; \"0\": what it has", Size{&activations.host_memory_limit}});
}

std::string in_interval(const Interval& allowed) {
  if (std::isinf(allowed.max)) {
    return allowed.includes_min ? fmt::format("of at least {}", allowed.min) : fmt::format("above {}", allowed.min);
  }
  return fmt::format("in {}{}, {}{}", allowed.includes_min ? '[' : '(', allowed.min, allowed.max,
                     allowed.includes_max ? ']' : ')');
}

struct Expected {
  std::string operator()(const Flag&) const { return "true or false"; }
  std::string operator()(const Integer& field) const {
    return field.max == kMaxInt ? fmt::format("an integer of at least {}", field.min)
                                : fmt::format("an integer from {} to {}", field.min, field.max);
  }
  std::string operator()(const Number& field) const { return "a number " + in_interval(field.allowed); }
  std::string operator()(const NumberPair& field) const {
    return "an array of two numbers, each " + in_interval(field.allowed);
  }
  std::string operator()(const Size&) const { return "a size such as \"6GiB\""; }
  std::string operator()(const Text& field) const { return field.may_be_empty ? "a string" : "a string, not empty"; }
  std::string operator()(const TextList&) const { return "a string or an array of strings, none empty"; }
  std::string operator()(const Choice& field) const {
    const std::size_t last = field.names.size() - 1;
    return fmt::format("\"{}\" or \"{}\"", fmt::join(field.names.first(last), "\", \""), field.names[last]);
  }
};

}  // namespace

bool Interval::contains(double value) const {
  const bool above = includes_min ? value >= min : value > min;
  const bool below = includes_max ? value <= max : value < max;
  return above && below;  // false for a NaN, and for infinity where max is infinite and not included
}

std::string expected(const Field& field) {
  return std::visit(Expected{}, field);
}

std::string Key::full_name() const {
  return fmt::format("{}.{}", table, name);
}

std::vector<Key> keys_of(Config& config) {
  Keys keys;
  add_run(keys, config.run);
  add_model(keys, config.model);
  add_data(keys, config.data);
  add_train(keys, config.train);
  add_optimizer(keys, config.optimizer);
  add_parallel(keys, config.parallel);
  add_activation_checkpointing(keys, config.activation_checkpointing);
  return keys;
}

std::string_view backend_name(BackendChoice backend) {
  return kBackends[static_cast<std::size_t>(backend)];
}

std::string_view policy_name(CheckpointPolicy policy) {
  return kPolicies[static_cast<std::size_t>(policy)];
}

}  // namespace retape::trainer::schema
