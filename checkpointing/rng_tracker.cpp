#include "checkpointing/rng_tracker.h"

#include <utility>

#include "nn/base/error.h"

namespace retape::checkpointing {

void RngTracker::add(std::string_view name, std::uint64_t seed, nn::Placement placement) {
  require(name != kDefaultRng && !generators_.contains(name), "[rng] {}: expected a new name, got one that exists",
          name);
  require(!seeds_.contains(seed), "[rng] {}: expected a seed that no other state has, got {}", name, seed);
  generators_.emplace(name, nn::Generator({.seed = seed, .offset = 0}, placement));
  seeds_.insert(seed);
}

RngTracker::Fork RngTracker::fork(std::string_view name) {
  if (name == kDefaultRng) {
    return {*this, context_.default_generator()};
  }
  const auto found = generators_.find(name);
  require(found != generators_.end(), "[rng] {}: expected the name of a state, got one that was not added", name);
  return {*this, found->second};
}

RngTracker::States RngTracker::get_states() const {
  States states{{std::string(kDefaultRng), context_.default_generator().state()}};
  for (const auto& [name, generator] : generators_) {
    states.emplace(name, generator.state());
  }
  return states;
}

void RngTracker::set_states(const States& states) {
  require_no_forks("set_states");
  const auto own = states.find(kDefaultRng);
  require(own != states.end(), "[rng] set_states: expected the state {} among them, got none", kDefaultRng);
  context_.default_generator().set_state(own->second);
  const auto before = std::exchange(generators_, {});
  seeds_.clear();
  for (const auto& [name, state] : states) {
    if (name != kDefaultRng) {
      const auto known = before.find(name);
      const nn::Placement placement = known == before.end() ? nn::Placement::shard : known->second.placement();
      generators_.emplace(name, nn::Generator(state, placement));
      seeds_.insert(state.seed);
    }
  }
}

void RngTracker::reset() {
  require_no_forks("reset");
  generators_.clear();
  seeds_.clear();
}

void RngTracker::require_no_forks(std::string_view what) const {
  require(forks_ == 0, "[rng] {}: expected no state to be in use, got {} forks", what, forks_);
}

}  // namespace retape::checkpointing
