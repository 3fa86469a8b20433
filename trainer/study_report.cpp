#include "trainer/study_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

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
  double relative_time = 0;  // to the first policy of the study

  double spread() const { return slowest_ms / fastest_ms; }
};

Summary summarise(const PolicyFindings& policy, const PolicyFindings& first) {
  const auto [fastest, slowest] = std::minmax_element(policy.step_ms.begin(), policy.step_ms.end());
  const double step_ms = median(policy.step_ms);
  return {.step_ms = step_ms,
          .fastest_ms = *fastest,
          .slowest_ms = *slowest,
          .recompute_share = median(policy.recompute_share),
          .relative_time = step_ms / median(first.step_ms)};
}

ordered_json to_json(const PolicyFindings& policy, const Summary& summary) {
  ordered_json hashes = ordered_json::array();
  for (const std::uint64_t hash : policy.bits.grad_hashes) {
    hashes.push_back(fmt::format("{:016x}", hash));  // as the metrics of a run have it
  }
  return {{"policy", policy.policy},
          {"predicted_peak_bytes", policy.predicted_peak_bytes},
          {"peak_bytes", policy.measured.peak},
          {"activation_peak_bytes", policy.measured.activation_peak},
          {"by_tag", bytes_by_tag(policy.measured.at_peak_by_tag)},
          {"median_step_ms", summary.step_ms},
          {"spread", summary.spread()},
          {"recompute_share", summary.recompute_share},
          {"relative_time", summary.relative_time},
          {"same_bits", !policy.differs_at.has_value()},
          {"step_ms", policy.step_ms},
          {"losses", policy.bits.losses},
          {"grad_hashes", std::move(hashes)}};
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
  for (const PolicyFindings& policy : findings.policies) {
    require(!policy.differs_at, "[study] {}: expected the loss and the gradients of {}, got others at step {}",
            policy.policy, findings.policies.front().policy, policy.differs_at.value_or(0));
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
    const Summary summary = summarise(policy, findings.policies.front());
    table += fmt::format("\n{:<{}}{:>12}{:>12}{:>13}{:>10.1f}{:>9.2f}{:>10.1f}%{:>7.2f}x  {}", policy.policy, width,
                         format_bytes(policy.predicted_peak_bytes), format_bytes(policy.measured.peak),
                         format_bytes(policy.measured.activation_peak), summary.step_ms, summary.spread(),
                         100 * summary.recompute_share, summary.relative_time, policy.differs_at ? "no" : "yes");
  }
  return table;
}

std::string study_csv(const StudyFindings& findings) {
  std::string csv = "policy,predicted_peak_bytes,peak_bytes,activation_peak_bytes";
  for (const auto& [tag, bytes] : bytes_by_tag({})) {
    csv += fmt::format(",{}_bytes", tag);
  }
  csv += ",median_step_ms,min_step_ms,max_step_ms,recompute_share,relative_time,same_bits\n";
  for (const PolicyFindings& policy : findings.policies) {
    const Summary summary = summarise(policy, findings.policies.front());
    csv += fmt::format("{},{},{},{}", policy.policy, policy.predicted_peak_bytes, policy.measured.peak,
                       policy.measured.activation_peak);
    for (const auto& [tag, bytes] : bytes_by_tag(policy.measured.at_peak_by_tag)) {
      csv += fmt::format(",{}", bytes);
    }
    csv +=
        fmt::format(",{:.3f},{:.3f},{:.3f},{:.4f},{:.4f},{}\n", summary.step_ms, summary.fastest_ms, summary.slowest_ms,
                    summary.recompute_share, summary.relative_time, policy.differs_at ? "no" : "yes");
  }
  return csv;
}

std::string study_json(const StudyFindings& findings) {
  ordered_json json{{"steps", findings.steps}, {"repeats", findings.repeats}, {"policies", ordered_json::array()}};
  for (const PolicyFindings& policy : findings.policies) {
    json["policies"].push_back(to_json(policy, summarise(policy, findings.policies.front())));
  }
  return json.dump(2) + "\n";
}

}  // namespace retape::trainer
