// Training runs of a tiny model of odd sizes, in this process, with every way to keep its activations.
#pragma once

#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "trainer/learner.h"

namespace retape::integration {

struct PolicyCase {
  std::string name;
  trainer::CheckpointPolicy policy = trainer::CheckpointPolicy::none;
  std::int64_t layers = 1;
  std::vector<std::string> recompute;
};

// Every policy; the count of uniform_3 does not divide that of the layers.
std::vector<PolicyCase> all_policies();
PolicyCase policy_named(const std::string& name);

// How large the slab is: measured on the meta device, or so many times its first tensor.
enum class Slab : std::uint8_t { off, measured, counted };

struct Stores {
  bool partition = false;
  Slab slab = Slab::off;
  bool host = false;

  bool any() const { return partition || slab != Slab::off || host; }
};

struct Combination {
  PolicyCase policy;
  Stores stores;
  nn::DType dtype = nn::DType::f32;
  int ranks = 1;  // that hold replicas of the same model and data

  // "full_bf16_2ranks_partition_measured_host": names a test.
  std::string name() const;
  // Where residuals() says that this combination keeps its checkpoints; empty where no store has them.
  std::string place() const;
};
std::ostream& operator<<(std::ostream& stream, const Combination& combination);

// Every policy with every mix of stores, in f32 and bf16, on 1, 2 and 4 ranks.
std::vector<Combination> all_combinations();

inline constexpr std::int64_t kTinyVocab = 23;
inline constexpr std::int64_t kTinyLayers = 4;

// Dropout everywhere, three micro-steps, and a hash of all gradients.
trainer::Config tiny_config(const Combination& combination);

// One rank of a run. Its device has run.memory_limit.
class TinyRun {
 public:
  // slab_bytes is not needed where no slab is measured.
  TinyRun(nn::DeviceKind kind, trainer::Config config, parallel::Topology topology, Bytes slab_bytes);

  // The batches are the same in every run, and on every rank.
  trainer::StepResult step();
  double evaluate();

  trainer::Learner& learner() { return learner_; }
  checkpointing::Checkpointer& checkpointer() { return learner_.checkpointer(); }
  // Of the first micro-step.
  const std::vector<nn::Residual>& residuals() const { return residuals_; }
  // Where stores had the values of all micro-steps.
  const std::set<std::string>& places() const { return places_; }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void note(const nn::Tape& tape);
  void fill(data::Batch& batch);

  trainer::Config config_;
  nn::Device device_;
  std::vector<nn::Residual> residuals_;
  std::set<std::string> places_;
  std::vector<std::string> warnings_;
  trainer::Learner learner_;
  std::int64_t steps_ = 0;
  std::uint64_t batches_ = 0;
};

// Of a rank that exists only in a plan.
parallel::Topology planned_topology(int rank, int ranks);

// What a rank of the run needs where a slab is measured, otherwise 0. For one rank plan_memory() says the same.
Bytes measure_slab(trainer::Config config, int rank, int ranks);

}  // namespace retape::integration
