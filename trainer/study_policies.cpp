#include "trainer/study_policies.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "nn/base/error.h"
#include "trainer/config/numbers.h"
#include "trainer/config_schema.h"

namespace retape::trainer {
namespace {

// The parts between separators; one where there is no separator.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(end + 1);
  }
}

constexpr std::array kPolicies{CheckpointPolicy::none,  CheckpointPolicy::full,    CheckpointPolicy::selective,
                               CheckpointPolicy::block, CheckpointPolicy::uniform, CheckpointPolicy::nested};

CheckpointPolicy policy_of(std::string_view name, std::string_view text) {
  const auto* const found = std::find_if(kPolicies.begin(), kPolicies.end(),
                                         [&](CheckpointPolicy policy) { return schema::policy_name(policy) == name; });
  if (found == kPolicies.end()) {
    std::vector<std::string_view> names;
    std::transform(kPolicies.begin(), kPolicies.end(), std::back_inserter(names), schema::policy_name);
    fail<ConfigError>("--policies: expected one of {}, got \"{}\"", fmt::join(names, ", "), text);
  }
  return *found;
}

// As activation_checkpointing.layers takes it.
std::int64_t layers_of(std::string_view argument, std::string_view text) {
  Config bounds;
  const std::vector<schema::Key> keys = schema::keys_of(bounds);
  const schema::Field& field = std::find_if(keys.begin(), keys.end(), [](const schema::Key& key) {
                                 return key.full_name() == "activation_checkpointing.layers";
                               })->field;
  const auto& allowed = std::get<schema::Integer>(field);
  const std::optional<std::int64_t> layers = parse_integer(argument);
  require<ConfigError>(layers && *layers >= allowed.min && *layers <= allowed.max,
                       "--policies {}: expected {} after the colon, got \"{}\"", text, schema::expected(field),
                       argument);
  return *layers;
}

std::vector<std::string> names_of(std::string_view argument, std::string_view text) {
  std::vector<std::string> names;
  for (const std::string_view name : split(argument, '+')) {
    require<ConfigError>(!name.empty(),
                         "--policies {}: expected names of ops or values joined by + after the colon, got \"{}\"", text,
                         argument);
    names.emplace_back(name);
  }
  return names;
}

StudiedPolicy parse_policy(std::string_view text) {
  const std::size_t colon = text.find(':');
  const bool has_argument = colon != std::string_view::npos;
  const std::string_view argument = has_argument ? text.substr(colon + 1) : std::string_view();
  StudiedPolicy policy{.text = std::string(text), .policy = policy_of(text.substr(0, colon), text), .recompute = {}};
  if (policy.policy == CheckpointPolicy::none) {
    require<ConfigError>(!has_argument, "--policies {}: expected nothing after none", text);
  } else if (policy.policy == CheckpointPolicy::selective) {
    policy.recompute = names_of(argument, text);
  } else if (has_argument) {
    policy.layers = layers_of(argument, text);
  }
  return policy;
}

}  // namespace

std::vector<StudiedPolicy> parse_policies(std::string_view list) {
  std::vector<StudiedPolicy> policies;
  for (const std::string_view text : split(list, ',')) {
    policies.push_back(parse_policy(text));
  }
  return policies;
}

Config with_policy(Config config, const StudiedPolicy& policy) {
  Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  if (policy.policy == CheckpointPolicy::none) {
    activations = {.recompute = {}, .profile = activations.profile};
    return config;
  }
  activations.policy = policy.policy;
  activations.layers = policy.layers;
  activations.recompute = policy.recompute;
  return config;
}

}  // namespace retape::trainer
