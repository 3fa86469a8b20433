// What a study found: whether all policies have the same bits, and the report as a table, as CSV and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "nn/runtime/allocator.h"

namespace retape::trainer {

// What must be the same under every policy: of each step, the first included.
struct RunBits {
  std::vector<double> losses;
  std::vector<std::uint64_t> grad_hashes;
};

// One policy: memory and bits of a run, and the times of all its runs.
struct PolicyFindings {
  std::string policy;
  nn::MemoryStats predicted;
  std::string refusal;  // why it does not fit, which leaves all below open; empty where it does
  nn::MemoryStats measured;
  std::vector<double> step_ms;          // of every timed step
  std::vector<double> recompute_share;  // of its time, of every timed step
  RunBits bits;
  std::optional<std::int64_t> differs_at;  // the first step at which `bits` are not those of the study's first run
};

struct StudyFindings {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();  // report_header()
  std::int64_t steps = 0;                                            // of a run; the first is not timed
  std::int64_t repeats = 0;                                          // rounds that were finished
  std::vector<PolicyFindings> policies;
};

// The first step that differs; runs have as many steps.
std::optional<std::int64_t> first_difference(const RunBits& expected, const RunBits& found);
// Throws Error where a policy differs, naming it and the step.
void require_same_bits(const StudyFindings& findings);

// The median, of an even number of values the mean of the middle two. Throws Error where there are none.
double median(std::vector<double> values);

// What compares a policy with the first that fits is left open, as "-", as nothing or as null, where there is no other:
// its time in a study of one policy, its bits in a study of one run. So is all that was not measured of a policy that
// does not fit.

// A line per policy, and below it the peaks by tag.
std::string study_table(const StudyFindings& findings);
// A line per policy below a line of names; bytes and milliseconds. The last columns are those of report_header().
std::string study_csv(const StudyFindings& findings);
// {"retape": "study", ..., "steps", "repeats", "policies": [{"policy", ..., "predicted_by_tag": {...}, "by_tag": {...},
// ..., "step_ms":
// [...],
//   "losses", "grad_hashes"}]}, tags with their bytes at the peak; of a policy that does not fit "policy",
// "predicted_peak_bytes", "predicted_by_tag" and "refusal". It begins as every report does (commands/report_header.h).
std::string study_json(const StudyFindings& findings);

}  // namespace retape::trainer
