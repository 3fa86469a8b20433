// The table [activation_checkpointing], as the checkpointing module takes it.
#pragma once

#include <string>
#include <string_view>

#include "checkpointing/policy.h"
#include "checkpointing/settings.h"
#include "trainer/config.h"

namespace retape::trainer {

checkpointing::Policy checkpoint_policy(const Config& config);

// `slab_bytes` is what plan_memory() measured; it counts where number_checkpoints is not set.
checkpointing::Overrides checkpoint_settings(const Config& config, Bytes slab_bytes);

// What keeps a key of the table from having an effect beside the others, as in `policy = "full"`; empty where nothing
// does.
std::string what_disables(const Config::ActivationCheckpointing& activations, std::string_view key);

}  // namespace retape::trainer
