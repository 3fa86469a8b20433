// Named generator states, for randomness that must be the same, or must differ, between ranks.
//
//   default              the context's own generator: the same on the tensor-parallel ranks of one replica
//   model-parallel-rng   differs between tensor-parallel ranks: for dropout on their own parts
//   data-parallel-rng    the same on all ranks that were seeded alike
//
// What an op draws from a state of one rank is a shard, like all that is computed from it: it is never partitioned.
//
// A state is {seed, offset}. Backward needs none of this: an op's node remembers the numbers that it drew.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "nn/runtime/context.h"

namespace retape::checkpointing {

inline constexpr std::string_view kDefaultRng = "default";
inline constexpr std::string_view kModelParallelRng = "model-parallel-rng";
inline constexpr std::string_view kDataParallelRng = "data-parallel-rng";

class RngTracker {
 public:
  using States = std::map<std::string, nn::RngState, std::less<>>;
  class Fork;

  // The context must outlive it.
  explicit RngTracker(nn::Context& context) : context_(context) {}

  // A new state at the start of `seed`. It counts as one rank's own, unless all tensor-parallel ranks give it the same
  // seed, draw the same from it, and say so: `replicated`. Throws Error for a name or a seed that was added before.
  void add(std::string_view name, std::uint64_t seed, nn::Placement placement = nn::Placement::shard);
  // Ops draw from the named state while the fork lives, and from what they drew from before when it goes. Throws Error
  // for an unknown name.
  [[nodiscard]] Fork fork(std::string_view name = kModelParallelRng);

  // All states, the default one too.
  States get_states() const;
  // Replaces all states. Those that are new here count as one rank's own; the others stay what they were. Throws Error
  // where the default one is missing, or while a fork lives.
  void set_states(const States& states);
  // Forgets all states but the default one, which it leaves alone. Throws Error while a fork lives.
  void reset();

 private:
  void require_no_forks(std::string_view what) const;

  nn::Context& context_;
  std::map<std::string, nn::Generator, std::less<>> generators_;
  std::set<std::uint64_t> seeds_;
  int forks_ = 0;
};

class RngTracker::Fork {
 public:
  ~Fork() { --tracker_.forks_; }
  Fork(const Fork&) = delete;
  Fork& operator=(const Fork&) = delete;

 private:
  friend class RngTracker;
  Fork(RngTracker& tracker, nn::Generator& generator) : tracker_(tracker), scope_(tracker.context_, generator) {
    ++tracker_.forks_;
  }
  RngTracker& tracker_;
  nn::GeneratorScope scope_;
};

}  // namespace retape::checkpointing
