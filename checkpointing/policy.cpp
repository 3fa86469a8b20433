#include "checkpointing/policy.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "nn/base/error.h"

namespace retape::checkpointing {
namespace {

constexpr int kAllLayers = std::numeric_limits<int>::max();

void require_positive(std::string_view policy, int count) {
  require<ConfigError>(count > 0, "[checkpointing] {}: expected a count of regions above 0, got {}", policy, count);
}

bool names_value(const std::vector<std::string>& names, const nn::ValueInfo& value) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == value.name || (name == value.op && value.output == 0);
  });
}

bool applies(const Policy::Rule& rule, const nn::ValueInfo& value) {
  const bool in_layers = rule.end_layer == kAllLayers || (value.home->layer >= 0 && value.home->layer < rule.end_layer);
  const bool named = rule.names.empty() ? value.home->depth > 0 : names_value(rule.names, value);
  return in_layers && named;
}

std::string describe_rule(const Policy::Rule& rule) {
  const std::string what =
      rule.names.empty() ? std::string() : fmt::format("selective({})", fmt::join(rule.names, ", "));
  if (rule.end_layer == kAllLayers) {
    return what.empty() ? "full" : what;
  }
  return what.empty() ? fmt::format("block({})", rule.end_layer) : fmt::format("{} in {}", what, rule.end_layer);
}

}  // namespace

bool is_checkpoint(const nn::ValueInfo& value) {
  return value.home->depth == 0 && value.reader->depth > 0;
}

bool Policy::lets_go(const nn::ValueInfo& value) const {
  if (std::any_of(recompute.begin(), recompute.end(), [&](const Rule& rule) { return applies(rule, value); })) {
    return true;
  }
  return keep_every > 1 && is_checkpoint(value) && value.reader->layer % keep_every != 0;
}

bool Policy::keeps_as_checkpoint(const nn::ValueInfo& value) const {
  return is_checkpoint(value) && std::any_of(recompute.begin(), recompute.end(), [&](const Rule& rule) {
           return rule.end_layer == kAllLayers || value.reader->layer < rule.end_layer;
         });
}

std::string Policy::describe() const {
  if (keeps_everything()) {
    return "none";
  }
  std::vector<std::string> parts;
  for (const Rule& rule : recompute) {
    parts.push_back(describe_rule(rule));
  }
  std::string text = fmt::format("{}", fmt::join(parts, " | "));
  if (keep_every > 1) {
    text += fmt::format(", every {}", keep_every);
  }
  if (grouping.size > 1) {
    text += fmt::format(", {} {}", grouping.merged ? "uniform" : "nested", grouping.size);
  }
  return text;
}

Policy none() {
  return {};
}

Policy full(int every) {
  require_positive("full", every);
  return {.recompute = {Policy::Rule{}}, .keep_every = every};
}

Policy selective(std::vector<std::string> names) {
  require<ConfigError>(!names.empty(), "[checkpointing] selective: expected names of ops or values, got none");
  return {.recompute = {Policy::Rule{.names = std::move(names)}}};
}

Policy block(int layers) {
  require_positive("block", layers);
  return {.recompute = {Policy::Rule{.end_layer = layers}}};
}

Policy uniform(int layers) {
  require_positive("uniform", layers);
  return {.recompute = {Policy::Rule{}}, .grouping = {.size = layers, .merged = true}};
}

Policy nested(int layers) {
  require_positive("nested", layers);
  return {.recompute = {Policy::Rule{}}, .grouping = {.size = layers, .merged = false}};
}

Policy operator|(const Policy& a, const Policy& b) {
  Policy both = a;
  both.recompute.insert(both.recompute.end(), b.recompute.begin(), b.recompute.end());
  const auto agree = [&](int of_a, int of_b, bool same) {
    require<ConfigError>(of_a == 1 || of_b == 1 || same,
                         "[checkpointing] {} | {}: expected one way to group regions, got two", a.describe(),
                         b.describe());
  };
  agree(a.keep_every, b.keep_every, a.keep_every == b.keep_every);
  agree(a.grouping.size, b.grouping.size, a.grouping == b.grouping);
  both.keep_every = std::max(a.keep_every, b.keep_every);
  both.grouping = a.grouping.size > 1 ? a.grouping : b.grouping;
  return both;
}

}  // namespace retape::checkpointing
