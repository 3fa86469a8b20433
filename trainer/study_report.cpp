#include "trainer/study_report.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "data/files/output_mark.h"
#include "nn/base/error.h"
#include "trainer/plan_command.h"

namespace retape::trainer {
namespace {

using nlohmann::ordered_json;

// What a study says of a policy in numbers.
struct Summary {
  double step_ms = 0;
  double fastest_ms = 0;
  double slowest_ms = 0;
  double recompute_share = 0;
  std::optional<double> relative_time;  // to the first policy of the study that fits
  std::optional<bool> same_bits;        // as the first run of the study

  double spread() const { return slowest_ms / fastest_ms; }
};

Summary summarise(const PolicyFindings& policy, const StudyFindings& findings) {
  const auto [fastest, slowest] = std::minmax_element(policy.step_ms.begin(), policy.step_ms.end());
  const double step_ms = median(policy.step_ms);
  Summary summary{.step_ms = step_ms,
                  .fastest_ms = *fastest,
                  .slowest_ms = *slowest,
                  .recompute_share = median(policy.recompute_share),
                  .relative_time = std::nullopt,
                  .same_bits = std::nullopt};
  const auto fits = [](const PolicyFindings& other) { return other.refusal.empty(); };
  const bool has_others = std::count_if(findings.policies.begin(), findings.policies.end(), fits) > 1;
  if (has_others) {
    const auto first = std::find_if(findings.policies.begin(), findings.policies.end(), fits);
    summary.relative_time = step_ms / median(first->step_ms);
  }
  if (has_others || findings.repeats > 1) {
    summary.same_bits = !policy.differs_at;
  }
  return summary;
}

std::string yes_or_no(const std::optional<bool>& answer, std::string_view none) {
  return answer ? (*answer ? "yes" : "no") : std::string(none);
}

template <class T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json();
}

ordered_json refusal_json(const PolicyFindings& policy) {
  return {{"policy", policy.policy},
          {"predicted_peak_bytes", policy.predicted.peak},
          {"predicted_by_tag", bytes_by_tag(policy.predicted.at_peak_by_tag)},
          {"refusal", policy.refusal}};
}

ordered_json to_json(const PolicyFindings& policy, const Summary& summary) {
  ordered_json hashes = ordered_json::array();
  for (const std::uint64_t hash : policy.bits.grad_hashes) {
    hashes.push_back(fmt::format("{:016x}", hash));  // as the metrics of a run have it
  }
  return {{"policy", policy.policy},
          {"predicted_peak_bytes", policy.predicted.peak},
          {"peak_bytes", policy.measured.peak},
          {"activation_peak_bytes", policy.measured.activation_peak},
          {"predicted_by_tag", bytes_by_tag(policy.predicted.at_peak_by_tag)},
          {"by_tag", bytes_by_tag(policy.measured.at_peak_by_tag)},
          {"median_step_ms", summary.step_ms},
          {"spread", summary.spread()},
          {"recompute_share", summary.recompute_share},
          {"relative_time", or_null(summary.relative_time)},
          {"same_bits", or_null(summary.same_bits)},
          {"step_ms", policy.step_ms},
          {"losses", policy.bits.losses},
          {"grad_hashes", std::move(hashes)}};
}

// The columns of what was measured, each behind a comma.
std::string csv_of(const Summary& summary) {
  const std::string time = summary.relative_time ? fmt::format("{:.4f}", *summary.relative_time) : "";
  return fmt::format(",{:.3f},{:.3f},{:.3f},{:.4f},{},{}", summary.step_ms, summary.fastest_ms, summary.slowest_ms,
                     summary.recompute_share, time, yes_or_no(summary.same_bits, ""));
}

// A text, or several numbers, in quotes, so that the commas in it separate nothing.
std::string csv_cell(const ordered_json& value) {
  if (value.is_number()) {
    return value.dump();
  }
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  for (std::size_t at = text.find('"'); at != std::string::npos; at = text.find('"', at + 2)) {
    text.insert(at, 1, '"');
  }
  return '"' + text + '"';
}

// One text where the prediction is the measurement, else both.
std::string predicted_and_measured(Bytes predicted, Bytes measured) {
  return predicted == measured ? format_bytes(measured)
                               : fmt::format("{} / {}", format_bytes(predicted), format_bytes(measured));
}

// What policies hold at their peaks: a line for each, and a column for each tag that any of them holds.
std::string tag_table(const std::vector<PolicyFindings>& policies, std::size_t width) {
  std::string head = fmt::format("{:<{}}", "policy", width);
  std::vector<std::string> lines;
  lines.reserve(policies.size());
  for (const PolicyFindings& policy : policies) {
    lines.push_back(fmt::format("\n{:<{}}", policy.policy, width));
  }
  for (int t = 0; t < nn::kTagCount; ++t) {
    const auto tag = static_cast<std::size_t>(t);
    const std::string_view name = nn::name(static_cast<nn::Tag>(t));
    std::vector<std::string> cells;
    std::size_t column = name.size();
    bool is_held = false;
    for (const PolicyFindings& policy : policies) {
      const Bytes predicted = policy.predicted.at_peak_by_tag[tag];
      const Bytes measured = policy.measured.at_peak_by_tag[tag];
      cells.push_back(policy.refusal.empty() ? predicted_and_measured(predicted, measured)
                                             : fmt::format("{} / -", format_bytes(predicted)));
      column = std::max(column, cells.back().size());
      is_held = is_held || predicted > 0 || measured > 0;
    }
    if (!is_held) {
      continue;
    }
    head += fmt::format("  {:>{}}", name, column);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      lines[i] += fmt::format("  {:>{}}", cells[i], column);
    }
  }
  return fmt::format("at the peak: predicted = measured, or predicted / measured\n{}{}", head, fmt::join(lines, ""));
}

}  // namespace

std::optional<std::int64_t> first_difference(const RunBits& expected, const RunBits& found) {
  for (std::size_t step = 0; step < found.losses.size(); ++step) {
    if (expected.losses[step] != found.losses[step] || expected.grad_hashes[step] != found.grad_hashes[step]) {
      return static_cast<std::int64_t>(step);
    }
  }
  return std::nullopt;
}

void require_same_bits(const StudyFindings& findings) {
  const PolicyFindings* first = nullptr;
  for (const PolicyFindings& policy : findings.policies) {
    first = first == nullptr && policy.refusal.empty() ? &policy : first;
    require(!policy.differs_at, "[study] {}: expected the loss and the gradients of {}, got others at step {}",
            policy.policy, first == nullptr ? "" : first->policy, policy.differs_at.value_or(0));
  }
}

double median(std::vector<double> values) {
  require(!values.empty(), "[study] median: expected values, got none");
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string study_table(const StudyFindings& findings) {
  std::size_t width = 8;
  for (const PolicyFindings& policy : findings.policies) {
    width = std::max(width, policy.policy.size() + 2);
  }
  std::string table = fmt::format("{:<{}}{:>12}{:>12}{:>13}{:>10}{:>9}{:>11}{:>8}  {}", "policy", width, "predicted",
                                  "peak", "activations", "step ms", "max/min", "recompute", "time", "same bits");
  for (const PolicyFindings& policy : findings.policies) {
    if (!policy.refusal.empty()) {
      table += fmt::format("\n{:<{}}{:>12}  does not fit", policy.policy, width, format_bytes(policy.predicted.peak));
      continue;
    }
    const Summary summary = summarise(policy, findings);
    const std::string time = summary.relative_time ? fmt::format("{:.2f}x", *summary.relative_time) : "-";
    table += fmt::format("\n{:<{}}{:>12}{:>12}{:>13}{:>10.1f}{:>9.2f}{:>10.1f}%{:>8}  {}", policy.policy, width,
                         format_bytes(policy.predicted.peak), format_bytes(policy.measured.peak),
                         format_bytes(policy.measured.activation_peak), summary.step_ms, summary.spread(),
                         100 * summary.recompute_share, time, yes_or_no(summary.same_bits, "-"));
  }
  return table + "\n\n" + tag_table(findings.policies, width);
}

std::string study_csv(const StudyFindings& findings) {
  std::string csv = "policy,predicted_peak_bytes,peak_bytes,activation_peak_bytes";
  for (const auto& [tag, bytes] : bytes_by_tag({})) {
    csv += fmt::format(",predicted_{}_bytes,{}_bytes", tag, tag);
  }
  csv += ",median_step_ms,min_step_ms,max_step_ms,recompute_share,relative_time,same_bits";
  std::string about;
  for (const auto& [name, value] : findings.header.items()) {
    csv += "," + name;
    about += "," + csv_cell(value);
  }
  csv += "\n";
  for (const PolicyFindings& policy : findings.policies) {
    const bool fits = policy.refusal.empty();
    const auto if_it_fits = [fits](Bytes bytes) { return fits ? std::to_string(bytes) : std::string(); };
    csv += fmt::format("{},{},{},{}", policy.policy, policy.predicted.peak, if_it_fits(policy.measured.peak),
                       if_it_fits(policy.measured.activation_peak));
    const std::map<std::string, Bytes> predicted = bytes_by_tag(policy.predicted.at_peak_by_tag);
    for (const auto& [tag, bytes] : bytes_by_tag(policy.measured.at_peak_by_tag)) {
      csv += fmt::format(",{},{}", predicted.at(tag), if_it_fits(bytes));
    }
    csv += (fits ? csv_of(summarise(policy, findings)) : ",,,,,,") + about + "\n";
  }
  return csv;
}

std::string study_json(const StudyFindings& findings) {
  ordered_json json{{data::kMarkKey, "study"}};
  json.update(findings.header);
  json.update({{"steps", findings.steps}, {"repeats", findings.repeats}, {"policies", ordered_json::array()}});
  for (const PolicyFindings& policy : findings.policies) {
    json["policies"].push_back(policy.refusal.empty() ? to_json(policy, summarise(policy, findings))
                                                      : refusal_json(policy));
  }
  return json.dump(2) + "\n";
}

}  // namespace retape::trainer
