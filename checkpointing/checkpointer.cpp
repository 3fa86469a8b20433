#include "checkpointing/checkpointer.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

void warn_on_standard_error(const std::string& message) {
  fmt::print(stderr, "warning: {}\n", message);
}

void harvest(CheckpointStore& store, Profile& profile) {
  for (const TransferRecord& record : store.log().records()) {
    profile.add(record);
  }
  store.log().clear();
}

}  // namespace

// Has the settings of the time at which recording began, and keeps the store that they belong to.
class Checkpointer::Watch final : public nn::TapeObserver {
 public:
  Watch(const Settings& settings, std::shared_ptr<CheckpointStore> store, Profile& profile)
      : synchronize_(settings.synchronize_checkpoint_boundary),
        profiles_(settings.profile),
        store_(std::move(store)),
        profile_(profile) {}

  void on_event(const nn::TapeEvent& event) override {
    if (profiles_) {
      profile_.add(event);
      harvest(*store_, profile_);
    }
  }
  void on_boundary(const nn::Region& /*region*/) override {
    if (synchronize_) {
      store_->synchronize();
    }
  }

 private:
  bool synchronize_;
  bool profiles_;
  std::shared_ptr<CheckpointStore> store_;
  Profile& profile_;
};

Checkpointer::Checkpointer(nn::Context& context, parallel::Topology topology,
                           std::function<void(const std::string&)> warn)
    : context_(context),
      topology_(std::move(topology)),
      warn_(warn ? std::move(warn) : warn_on_standard_error),
      rng_(context) {}

Checkpointer::~Checkpointer() = default;

void Checkpointer::configure(const Overrides& arguments, const Overrides& file) {
  const Settings settings = apply(apply(Settings{}, file), arguments);
  // Every rank asks, also one whose own settings are wrong, so that none is left waiting.
  topology_.tensor.require_agreement("activation checkpointing settings",
                                     fmt::format("{}, policy {}", settings.describe(), policy_.describe()));
  check(settings);
  const bool sized = settings.number_checkpoints > 0 || settings.slab_bytes > 0;
  require<ConfigError>(!settings.contiguous_memory_optimization || sized || !context_.device().computes(),
                       "[checkpointing] contiguous_memory_optimization: expected number_checkpoints or slab_bytes, "
                       "which a step on the meta device measures, got neither");
  const StoreOptions options{
      .partition = settings.partition_activations,
      .contiguous = settings.contiguous_memory_optimization,
      .host = settings.cpu_checkpointing,
      .number_checkpoints = settings.number_checkpoints,
      .slab_bytes = settings.number_checkpoints > 0 ? 0 : settings.slab_bytes,
      .host_limit = settings.host_memory_limit > 0 ? std::optional(settings.host_memory_limit) : std::nullopt};
  auto store = std::make_shared<CheckpointStore>(context_.device(), topology_.tensor, options, warn_);
  left_offloaded_bytes_ = take_offloaded_bytes();
  if (store_ != nullptr && settings_.profile) {
    harvest(*store_, profile_);
  }
  store_ = std::move(store);
  taken_offloaded_bytes_ = 0;
  settings_ = settings;
}

nn::TapeOptions Checkpointer::tape_options() {
  if (!is_configured()) {
    return {};
  }
  nn::TapeOptions options{.policy = this};
  if (settings_.profile || settings_.synchronize_checkpoint_boundary) {
    const auto watch = std::make_shared<Watch>(settings_, store_, profile_);
    options.observer = watch.get();
    options.held = watch;
  }
  return options;
}

nn::Decision Checkpointer::decide(const nn::ValueInfo& value) const {
  if (policy_.lets_go(value)) {
    return {.what = nn::Retain::recompute};
  }
  return policy_.keeps_as_checkpoint(value) ? keep_checkpoint(value) : nn::Decision{};
}

nn::Decision Checkpointer::RegionPolicy::decide(const nn::ValueInfo& value) const {
  const bool inside = value.home->depth >= depth_;
  if (inside || (around_ != nullptr && around_->decide(value).what == nn::Retain::recompute)) {
    return {.what = nn::Retain::recompute};
  }
  return checkpointer_.keep_checkpoint(value);
}

// No save comes any more that would let the source of the last copy to the host go.
void Checkpointer::left_regions() const {
  store_->settle();
}

// What is not the same on all ranks must not be partitioned over them (Megatron-LM's sequence-parallel shards).
nn::Decision Checkpointer::keep_checkpoint(const nn::ValueInfo& value) const {
  const bool split = settings_.partition_activations && value.placement == nn::Placement::replicated;
  const bool shared = topology_.tensor.size() > 1;
  if (settings_.partition_activations && shared && !split && !std::exchange(told_of_shards_, true)) {
    warn_(
        fmt::format("[checkpointing] partition_activations: expected a replicated value, got {}, a shard; it is kept "
                    "whole, as others will be",
                    value.name));
  }
  if (!split && !settings_.contiguous_memory_optimization && !settings_.cpu_checkpointing) {
    return {.what = nn::Retain::keep, .tag = nn::Tag::checkpoints};
  }
  return {.what = nn::Retain::store, .store = store_.get()};
}

void Checkpointer::reset() {
  if (store_ != nullptr) {
    store_->reset();
  }
}

void Checkpointer::model_parallel_seed(std::uint64_t seed) {
  constexpr std::uint64_t kModelParallelOffset = 2718;  // Megatron-LM's
  rng_.reset();
  context_.default_generator().set_state({.seed = seed, .offset = 0});
  rng_.add(kModelParallelRng, seed + kModelParallelOffset + static_cast<std::uint64_t>(topology_.tensor.rank()),
           nn::Placement::shard);
  rng_.add(kDataParallelRng, seed, nn::Placement::replicated);
}

StoreStats Checkpointer::store_stats() const {
  require_configured("store_stats");
  return store_->stats();
}

Bytes Checkpointer::take_offloaded_bytes() {
  const Bytes left = std::exchange(left_offloaded_bytes_, 0);
  const Bytes all = store_ == nullptr ? 0 : store_->stats().offloaded_bytes;
  return left + all - std::exchange(taken_offloaded_bytes_, all);
}

Profile Checkpointer::take_profile() {
  if (store_ != nullptr && settings_.profile) {
    harvest(*store_, profile_);
  }
  return std::exchange(profile_, {});
}

void Checkpointer::require_effect(const std::vector<nn::Residual>& residuals) const {
  std::set<std::string_view> known;
  std::set<std::string_view> let_go;
  bool stores = false;
  for (const nn::Residual& residual : residuals) {
    known.insert({residual.name, residual.op});
    if (residual.what == nn::Retain::recompute) {
      let_go.insert({residual.name, residual.op});
    }
    stores = stores || residual.what == nn::Retain::store;
  }
  for (const Policy::Rule& rule : policy_.recompute) {
    for (const std::string& name : rule.names) {
      require<ConfigError>(known.contains(name),
                           "[checkpointing] recompute: expected names of ops or values of the model ({}), got {}",
                           fmt::join(known, ", "), name);
      require<ConfigError>(let_go.contains(name),
                           "[checkpointing] recompute: expected names of values that can be let go, got {}, which is "
                           "kept",
                           name);
    }
  }
  require<ConfigError>(!let_go.empty() || policy_.keeps_everything(),
                       "[checkpointing] policy {}: expected a model with values that it lets go, got none",
                       policy_.describe());
  const auto require_stores = [stores](std::string_view name, bool on) {
    require<ConfigError>(stores || !on, "[checkpointing] {}: expected regions whose inputs are checkpoints, got none",
                         name);
  };
  require_stores("partition_activations", settings_.partition_activations);
  require_stores("contiguous_memory_optimization", settings_.contiguous_memory_optimization);
  require_stores("cpu_checkpointing", settings_.cpu_checkpointing);
}

void Checkpointer::require_own(const nn::Tape& tape) const {
  const nn::TapeOptions& options = tape.options();
  if (!options.record) {
    return;
  }
  require(options.policy == this,
          "[checkpointing] checkpoint: expected a tape made after configure() with tape_options(), got another: write "
          "Tape tape(context, checkpointer.tape_options())");
  // What is held is the watch that was asked for: an observer in its place leaves it without events.
  require(options.held == nullptr || options.held.get() == options.observer,
          "[checkpointing] checkpoint: expected the observer of tape_options(), which profiles or synchronizes, got "
          "another");
}

void Checkpointer::require_configured(std::string_view what) const {
  require(is_configured(), "[checkpointing] {}: expected configure() to come before", what);
}

}  // namespace retape::checkpointing
