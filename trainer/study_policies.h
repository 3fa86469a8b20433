// The list of policies that a study goes through: "none,selective:layer_norm+gelu,full:2".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "trainer/config.h"

namespace retape::trainer {

struct StudiedPolicy {
  std::string text;  // as it was given
  CheckpointPolicy policy = CheckpointPolicy::none;
  std::int64_t layers = 1;             // after the colon: of full, block, uniform and nested; 1 where it is left out
  std::vector<std::string> recompute;  // after the colon: of selective, joined by '+'

  bool operator==(const StudiedPolicy&) const = default;
};

// One may come several times. Throws ConfigError for an empty list, a name that is no policy (lists those there are), a
// count that is none, and what a policy does not take or lacks.
std::vector<StudiedPolicy> parse_policies(std::string_view list);

// The configuration under that policy. What else [activation_checkpointing] has stays; with none only the profile does,
// since nothing else has a meaning for it.
Config with_policy(Config config, const StudiedPolicy& policy);

}  // namespace retape::trainer
