// Activation checkpointing, with the surface of DeepSpeed's module, for one rank.
//
//   Checkpointer checkpointer(context, topology);
//   checkpointer.configure({.partition_activations = true});
//   Tape tape(context, checkpointer.tape_options());
//   Var y = checkpointer.checkpoint(tape, [&](Var x, int heads) { return block(tape, x, heads); }, x, 12);
//   tape.backward(loss(y));                      // rebuilds what the block let go
//
// checkpoint() calls the function once, with its arguments as they are, and returns what it returns. Inside, nothing is
// kept for backward; what the function reads from outside is, in the way that configure() says. Where no gradient is
// wanted nothing is saved at all.
//
// A model that names its regions needs no checkpoint(): set_policy() says what is kept of them, and tape_options()
// carries it to the tape.
//
// A tape that records must be made with tape_options(), after configure(): without them nobody would profile it,
// synchronize its boundaries, or let go of the last copy to the host when the model leaves its regions. checkpoint()
// refuses another.
//
// Settings are read when a value is recorded and never in backward, so that configure() may come in between; profile
// and synchronize_checkpoint_boundary are read when tape_options() is called, and hold for the whole tape.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "checkpointing/policy.h"
#include "checkpointing/profile.h"
#include "checkpointing/rng_tracker.h"
#include "checkpointing/settings.h"
#include "checkpointing/stores/checkpoint_store.h"
#include "nn/autograd/tape.h"
#include "parallel/topology.h"

namespace retape::checkpointing {

// Everything of one rank. It must outlive the tapes that it is used with; its context and the ranks of the topology
// must outlive it. Belongs to the rank's thread.
class Checkpointer final : private nn::RetentionPolicy {
 public:
  // `warn` is told, once, what does not stop a run: that host memory is exhausted, or that a value to partition is a
  // shard. None: standard error.
  explicit Checkpointer(nn::Context& context, parallel::Topology topology = parallel::Topology::single(),
                        std::function<void(const std::string&)> warn = nullptr);
  ~Checkpointer() override;
  Checkpointer(const Checkpointer&) = delete;
  Checkpointer& operator=(const Checkpointer&) = delete;

  // Settings from now on: `arguments` go before `file`, which goes before the defaults. Collective over the
  // tensor-parallel group, whose ranks must have set the same policy. A configure that fails changes nothing. Throws
  // ConfigError for values out of range and for a contiguous buffer of unknown size; CommError where ranks differ.
  void configure(const Overrides& arguments = {}, const Overrides& file = {});
  bool is_configured() const { return store_ != nullptr; }
  const Settings& settings() const { return settings_; }

  // What becomes of values of the tapes that tape_options() was given to: the same on all ranks of the tensor-parallel
  // group. Starts as none().
  void set_policy(Policy policy) { policy_ = std::move(policy); }
  const Policy& policy() const { return policy_; }
  // For recording a step. Before configure() it keeps everything, and checkpoint() will refuse the tape.
  nn::TapeOptions tape_options();

  // Runs function(args...) in a region of its own: see above. Throws Error before configure(), and for a tape that
  // records and was not made with tape_options().
  template <class Function, class... Args>
  std::invoke_result_t<Function, Args...> checkpoint(nn::Tape& tape, Function&& function, Args&&... args);

  // Lets go of buffers that are kept from step to step, as soon as no value is in them.
  void reset();

  RngTracker& rng() { return rng_; }
  // The default state starts again at `seed`; the tracker is reset to model-parallel-rng, at seed + 2718 + the
  // tensor-parallel rank, and data-parallel-rng, at seed.
  void model_parallel_seed(std::uint64_t seed);

  // What the store holds now. Throws Error before configure().
  StoreStats store_stats() const;
  // What was copied to the host since the last call.
  Bytes take_offloaded_bytes();
  // Times since the last call, of tapes whose recording began while the setting profile was on.
  Profile take_profile();

  // What nothing came of would go unnoticed. Throws ConfigError where a policy that lets go has let nothing go, names
  // an op or a value that `residuals`, those of a recorded step, do not have (with those that they have), or one that
  // was kept all the same, or where checkpoints were to be stored and there are none.
  void require_effect(const std::vector<nn::Residual>& residuals) const;

 private:
  // Of the region that checkpoint() opens.
  class RegionPolicy;
  // What a tape is watched by, where it is.
  class Watch;

  nn::Decision decide(const nn::ValueInfo& value) const override;
  nn::RegionGrouping grouping() const override { return policy_.grouping; }
  void left_regions() const override;

  nn::Decision keep_checkpoint(const nn::ValueInfo& value) const;
  void require_configured(std::string_view what) const;
  void require_own(const nn::Tape& tape) const;

  nn::Context& context_;
  parallel::Topology topology_;
  std::function<void(const std::string&)> warn_;
  Settings settings_;
  Policy policy_;
  mutable bool told_of_shards_ = false;     // once, by a decision
  std::shared_ptr<CheckpointStore> store_;  // null before configure()
  Bytes taken_offloaded_bytes_ = 0;         // of the store's, that take_offloaded_bytes() has returned
  Bytes left_offloaded_bytes_ = 0;          // of former stores, that it has not
  RngTracker rng_;
  Profile profile_;
};

// Inside its region everything is let go; what comes from outside goes to the store, unless the region around lets it
// go too.
class Checkpointer::RegionPolicy final : public nn::RetentionPolicy {
 public:
  RegionPolicy(const Checkpointer& checkpointer, const nn::RetentionPolicy* around)
      : checkpointer_(checkpointer), around_(around) {}
  void set_depth(int depth) { depth_ = depth; }
  nn::Decision decide(const nn::ValueInfo& value) const override;

 private:
  const Checkpointer& checkpointer_;
  const nn::RetentionPolicy* around_;
  int depth_ = 0;
};

template <class Function, class... Args>
std::invoke_result_t<Function, Args...> Checkpointer::checkpoint(nn::Tape& tape, Function&& function, Args&&... args) {
  require_configured("checkpoint");
  require_own(tape);
  RegionPolicy policy(*this, tape.policy());
  nn::RegionScope region = tape.region(fmt::format("checkpoint.{}", tape.region_count()), &policy);
  policy.set_depth(tape.depth());
  if constexpr (std::is_void_v<std::invoke_result_t<Function, Args...>>) {
    std::invoke(std::forward<Function>(function), std::forward<Args>(args)...);
    region.close();
  } else {
    std::invoke_result_t<Function, Args...> result =
        std::invoke(std::forward<Function>(function), std::forward<Args>(args)...);
    region.close();
    return result;
  }
}

}  // namespace retape::checkpointing
