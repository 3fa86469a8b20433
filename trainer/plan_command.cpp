#include "trainer/plan_command.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "trainer/commands/report_header.h"
#include "trainer/one_line.h"
#include "trainer/opened_run.h"

namespace retape::trainer {
namespace {

using nlohmann::ordered_json;

std::string_view what_becomes_of(const nn::Residual& value) {
  switch (value.what) {
    case nn::Retain::keep: return "kept";
    case nn::Retain::recompute: return "recomputed";
    case nn::Retain::store: break;
  }
  return value.place == "in place" ? "kept" : value.place;
}

// Of the value, on this rank's device.
Bytes device_bytes(const nn::Residual& value, std::int64_t tensor_ranks) {
  const std::string_view where = what_becomes_of(value);
  if (where == "recomputed" || where.find("offloaded") != std::string_view::npos) {
    return 0;
  }
  const bool split = where.find("partitioned") != std::string_view::npos;
  return split ? ceil_div(value.shape.elems(), tensor_ranks) * size_of(value.dtype) : value.bytes;
}

// ---------------------------------------------------------------------------------------------- regions

struct RegionResiduals {
  std::string name;
  std::vector<const nn::Residual*> values;
};

// In the order in which regions are first seen.
std::vector<RegionResiduals> by_region(const std::vector<nn::Residual>& residuals) {
  std::vector<RegionResiduals> regions;
  std::unordered_map<std::string_view, std::size_t> positions;
  for (const nn::Residual& value : residuals) {
    const auto [position, is_new] = positions.try_emplace(value.region, regions.size());
    if (is_new) {
      regions.push_back({.name = value.region, .values = {}});
    }
    regions[position->second].values.push_back(&value);
  }
  return regions;
}

bool look_the_same(const RegionResiduals& a, const RegionResiduals& b) {
  return std::equal(a.values.begin(), a.values.end(), b.values.begin(), b.values.end(),
                    [](const nn::Residual* left, const nn::Residual* right) {
                      return left->name == right->name && left->shape == right->shape && left->dtype == right->dtype &&
                             what_becomes_of(*left) == what_becomes_of(*right);
                    });
}

// Regions at these positions of the list: "h.0", "h.1 .. h.5", "h.0, h.2 .. h.10", or several such stretches, the
// first of many.
std::string names_at(const std::vector<RegionResiduals>& regions, const std::vector<std::size_t>& positions) {
  const auto name = [&](std::size_t i) -> const std::string& { return regions[positions[i]].name; };
  std::vector<std::string> stretches;
  for (std::size_t first = 0, next = 0; first < positions.size(); first = next) {
    next = first + 1;
    const std::size_t stride = next < positions.size() ? positions[next] - positions[first] : 0;
    while (next < positions.size() && positions[next] - positions[next - 1] == stride) {
      ++next;
    }
    if (stride == 1) {
      stretches.push_back(fmt::format("{} .. {}", name(first), name(next - 1)));
    } else if (next - first > 2) {
      stretches.push_back(fmt::format("{}, {} .. {}", name(first), name(first + 1), name(next - 1)));
    } else {  // two that are apart are no pattern
      stretches.push_back(name(first));
      next = first + 1;
    }
  }
  constexpr std::size_t kMostShown = 4;
  if (stretches.size() > kMostShown) {
    stretches.resize(kMostShown - 1);
    stretches.push_back(fmt::format("...: {} regions", positions.size()));
  }
  return fmt::format("{}", fmt::join(stretches, ", "));
}

// Positions of the regions that look the same, in lists; the lists in the order of their first regions.
std::vector<std::vector<std::size_t>> alike(const std::vector<RegionResiduals>& regions) {
  std::vector<std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const auto group = std::find_if(groups.begin(), groups.end(),
                                    [&](const auto& g) { return look_the_same(regions[g.front()], regions[i]); });
    if (group == groups.end()) {
      groups.push_back({i});
    } else {
      group->push_back(i);
    }
  }
  return groups;
}

std::string residual_line(const nn::Residual& value) {
  return fmt::format("\n  {:<16}{:<24}{:<6}{:>12}  {}", value.name, value.shape.str(), nn::name(value.dtype),
                     format_bytes(value.bytes), what_becomes_of(value));
}

// ---------------------------------------------------------------------------------------------- the whole

std::string format_flops(Flops flops) {
  constexpr std::array<std::string_view, 6> kUnits{"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP"};
  auto scaled = static_cast<double>(flops);
  std::size_t unit = 0;
  for (; scaled >= 1000 && unit + 1 < kUnits.size(); ++unit) {
    scaled /= 1000;
  }
  return fmt::format("{:.{}f} {}", scaled, unit == 0 ? 0 : 1, kUnits[unit]);
}

std::string flops_line(const nn::TapeStats& work) {
  const double share =
      work.forward_flops > 0 ? static_cast<double>(work.rebuilt_flops) / static_cast<double>(work.forward_flops) : 0;
  return fmt::format("recompute per step: {}, {:.1f}% of the {} of forward", format_flops(work.rebuilt_flops),
                     100 * share, format_flops(work.forward_flops));
}

ordered_json to_json(const nn::Residual& value) {
  std::vector<std::int64_t> shape;
  shape.reserve(nn::Shape::kMaxRank);
  for (int i = 0; i < value.shape.rank(); ++i) {
    shape.push_back(value.shape[i]);
  }
  return {{"region", value.region},
          {"name", value.name},
          {"op", value.op},
          {"shape", shape},
          {"dtype", nn::name(value.dtype)},
          {"bytes", value.bytes},
          {"what", what_becomes_of(value)}};
}

// One object, a part at a time: of a model of many layers the whole would take more memory than the plan.
void print_json(const ordered_json& header, const MemoryPlan& plan) {
  ordered_json json = header;
  json.update({{"peak_bytes", plan.stats.peak},
               {"peak_at", plan.peak_at},
               {"activation_peak_bytes", plan.stats.activation_peak},
               {"activation_peak_at", plan.activation_peak_at},
               {"reserved_bytes", plan.stats.peak_reserved},
               {"by_tag", bytes_by_tag(plan.stats.at_peak_by_tag)},
               {"host_peak_bytes", plan.host_peak_bytes},
               {"slab_bytes", plan.slab_bytes},
               {"forward_flops", plan.work.forward_flops},
               {"recompute_flops", plan.work.rebuilt_flops},
               {"notes", plan.notes}});
  std::string head = json.dump();
  head.pop_back();
  print(head + ",\"residuals\":[");
  std::string_view separator;
  for (const nn::Residual& value : plan.residuals) {
    print(fmt::format("{}{}", std::exchange(separator, ","), to_json(value).dump()));
  }
  print("]}\n");
}

}  // namespace

MemoryPlan plan_training(const Config& config, std::int64_t vocab) {
  MemoryPlan plan = plan_memory(config, vocab);
  require_fit(config, vocab, plan);
  return plan;
}

std::string residual_table(const std::vector<nn::Residual>& residuals, std::int64_t tensor_ranks) {
  const std::vector<RegionResiduals> regions = by_region(residuals);
  std::string table = "what backward needs of a micro-step";
  for (const std::vector<std::size_t>& positions : alike(regions)) {
    const RegionResiduals& region = regions[positions.front()];
    Bytes kept = 0;
    Bytes whole = 0;
    table += fmt::format("\n{}", region.name.empty() ? "outside regions" : names_at(regions, positions));
    for (const nn::Residual* value : region.values) {
      table += residual_line(*value);
      kept += device_bytes(*value, tensor_ranks);
      whole += value->bytes;
    }
    table += fmt::format("\n  {:<46}{:>12}  of {}{}", "on the device", format_bytes(kept), format_bytes(whole),
                         positions.size() > 1 ? ", each" : "");
  }
  return table;
}

std::map<std::string, Bytes> bytes_by_tag(const nn::PerTag<Bytes>& bytes) {
  std::map<std::string, Bytes> named;
  for (int t = 0; t < nn::kTagCount; ++t) {
    named.emplace(nn::name(static_cast<nn::Tag>(t)), bytes[static_cast<std::size_t>(t)]);
  }
  return named;
}

int print_plan(const Config& config, bool json) {
  const std::int64_t vocab = vocab_of_training(config);
  const MemoryPlan plan = plan_training(config, vocab);
  const ordered_json header = report_header(config, vocab);
  if (json) {
    print_json(header, plan);
  } else {
    print(fmt::format("{}\n\n{}\n\n{}\n\n{}\n", describe(header), memory_table(plan),
                      residual_table(plan.residuals, config.parallel.tensor), flops_line(plan.work)));
  }
  return 0;
}

}  // namespace retape::trainer
