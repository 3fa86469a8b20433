#include "trainer/study.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "data/atomic_file.h"
#include "data/files/output_mark.h"
#include "data/marked_file.h"
#include "trainer/commands/report_header.h"
#include "trainer/memory_plan.h"
#include "trainer/one_line.h"
#include "trainer/opened_run.h"
#include "trainer/stop_signals.h"
#include "trainer/study_policies.h"
#include "trainer/study_report.h"

namespace retape::trainer {
namespace {

constexpr const char* kCommand = "study";

using Milliseconds = std::chrono::duration<double, std::milli>;

// A policy that is known to have an effect.
struct PlannedPolicy {
  Config config;
  MemoryPlan plan;
  std::string refusal;  // where it does not fit
};

PlannedPolicy plan_policy(const Config& config, const StudiedPolicy& policy, std::int64_t vocab) {
  PlannedPolicy planned{.config = with_policy(config, policy), .plan = {}, .refusal = {}};
  planned.plan = plan_memory(planned.config, vocab);
  try {
    require_fit(planned.config, vocab, planned.plan);
    require_machine_has(planned.plan);
  } catch (const OutOfMemory& error) {
    planned.refusal = fmt::format("--policies {}: {}", policy.text, error.what());
  }
  return planned;
}

// One run of a policy: its part of the findings.
struct PolicyRun {
  nn::MemoryStats measured;
  std::vector<double> step_ms;
  std::vector<double> recompute_share;
  RunBits bits;
};

// None where a signal cuts it short.
std::optional<PolicyRun> run_policy(const PlannedPolicy& planned, const data::Dataset& dataset, std::int64_t steps,
                                    const StopSignals& signals) {
  const Config& config = planned.config;
  const std::unique_ptr<nn::Device> device = open_device(config);
  Learner learner(*device, config, dataset.vocab, {.slab_bytes = planned.plan.slab_bytes});
  load_weights(config, std::nullopt, learner);
  data::Sampler sampler = open_sampler(config, dataset, std::nullopt);
  PolicyRun run;
  for (std::int64_t step = 0; step < steps; ++step) {
    if (signals.received()) {
      return std::nullopt;
    }
    const auto start = std::chrono::steady_clock::now();
    const StepResult result = learner.step(step, [&](data::Batch& batch) { sampler.next(batch); });
    const Milliseconds time = std::chrono::steady_clock::now() - start - result.hash_time;
    if (step > 0) {
      run.step_ms.push_back(time.count());
      run.recompute_share.push_back(Milliseconds(result.work.rebuild_time) / time);
    }
    run.bits.losses.push_back(result.loss);
    run.bits.grad_hashes.push_back(result.grad_hash.value());
  }
  run.measured = learner.memory();
  return run;
}

void add(PolicyRun run, const RunBits& expected, PolicyFindings& policy) {
  policy.measured = run.measured;
  policy.step_ms.insert(policy.step_ms.end(), run.step_ms.begin(), run.step_ms.end());
  policy.recompute_share.insert(policy.recompute_share.end(), run.recompute_share.begin(), run.recompute_share.end());
  if (!policy.differs_at) {
    policy.differs_at = first_difference(expected, run.bits);
    policy.bits = std::move(run.bits);
  }
}

// The runs of all policies that fit, in their order; of the others nothing. None where a signal cuts it short.
std::optional<std::vector<std::optional<PolicyRun>>> run_round(const std::vector<PlannedPolicy>& planned,
                                                               const data::Dataset& dataset,
                                                               const StudyFindings& findings, std::int64_t repeats,
                                                               const StopSignals& signals) {
  std::vector<std::optional<PolicyRun>> runs(planned.size());
  for (std::size_t i = 0; i < planned.size(); ++i) {
    if (planned[i].refusal.empty()) {
      show(fmt::format("round {} of {}: {}\n", findings.repeats + 1, repeats, findings.policies[i].policy));
      runs[i] = run_policy(planned[i], dataset, findings.steps, signals);
      if (!runs[i]) {
        return std::nullopt;
      }
    }
  }
  return runs;
}

// In rounds, so that what slows the machine down for a while slows every policy down.
void run_all(const std::vector<PlannedPolicy>& planned, const data::Dataset& dataset, std::int64_t repeats,
             const StopSignals& signals, StudyFindings& findings) {
  std::optional<RunBits> expected;
  while (findings.repeats < repeats) {
    auto round = run_round(planned, dataset, findings, repeats, signals);
    if (!round) {
      return;
    }
    for (std::size_t i = 0; i < planned.size(); ++i) {
      if (std::optional<PolicyRun>& run = (*round)[i]) {
        if (!expected) {
          expected = run->bits;
        }
        add(*std::move(run), *expected, findings.policies[i]);
      }
    }
    ++findings.repeats;
  }
}

struct ReportFiles {
  data::AtomicFile csv;
  data::AtomicFile json;
};

ReportFiles open_report_files(const std::filesystem::path& folder, const data::OutputRules& rules) {
  const std::filesystem::path json = folder / "study.json";
  data::require_different_files(std::array{folder / "study.csv", json}, rules.place);
  data::require_replaceable_beside(folder / "study.csv", rules);
  data::require_replaceable(json, rules, [&] { return data::has_json_mark(json, rules.command); });
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  require<DataError>(!error, "[study] output: {} cannot be made: {}", folder.string(), error.message());
  return {.csv = data::AtomicFile(folder / "study.csv"), .json = data::AtomicFile(json)};
}

void report(const std::filesystem::path& folder, const data::OutputRules& rules, const StudyFindings& findings) {
  ReportFiles files = open_report_files(folder, rules);
  files.csv.write(study_csv(findings));
  files.json.write(study_json(findings));
  data::commit_with_mark(files.csv, kCommand);
  files.json.commit();
  show(fmt::format("{}\nthe same, and more, in {} and {}\n", study_table(findings),
                   on_one_line(files.csv.path().string()), on_one_line(files.json.path().string())));
}

StudyFindings begin_findings(const Config& config, const data::Dataset& dataset, const StudyCommand& command,
                             const std::vector<StudiedPolicy>& policies, const std::vector<PlannedPolicy>& planned) {
  StudyFindings findings{.header = report_header(config, dataset.vocab), .steps = command.steps, .policies = {}};
  for (std::size_t i = 0; i < planned.size(); ++i) {
    findings.policies.push_back(
        {.policy = policies[i].text, .predicted = planned[i].plan.stats, .refusal = planned[i].refusal});
  }
  return findings;
}

}  // namespace

int study(const Config& config, const StudyCommand& command, const OutputOptions& options) {
  require<ConfigError>(command.steps >= 2, "--steps: expected at least 2, of which the first is not timed, got {}",
                       command.steps);
  require<ConfigError>(command.repeats >= 1, "--repeats: expected at least 1, got {}", command.repeats);
  const std::vector<StudiedPolicy> policies = parse_policies(command.policies);
  Config studied = config;
  studied.run.hash_gradients = true;
  studied.train.eval_every = 0;
  studied.run.sample_tokens = 0;
  const data::Dataset dataset = open_data(studied, std::nullopt);
  std::vector<PlannedPolicy> planned;
  for (const StudiedPolicy& policy : policies) {
    planned.push_back(plan_policy(studied, policy, dataset.vocab));
  }
  const bool any_fits =
      std::ranges::any_of(planned, [](const PlannedPolicy& policy) { return policy.refusal.empty(); });
  require<OutOfMemory>(any_fits, "{}", planned.front().refusal);
  open_device(studied);  // refuses one that there is not, before a folder is made
  const std::filesystem::path folder = command.output.empty() ? config.run.out_dir : command.output;
  const data::OutputRules rules = output_rules(config, options, kCommand);
  // Finds out that they can be written, before hours are spent on what goes into them.
  open_report_files(folder, rules);
  StudyFindings findings = begin_findings(config, dataset, command, policies, planned);
  const StopSignals signals("stops after this step and keeps the rounds that are finished");
  std::signal(SIGPIPE, SIG_IGN);  // a reader of the output may leave without ending the study
  run_all(planned, dataset, command.repeats, signals, findings);
  if (findings.repeats > 0) {
    report(folder, rules, findings);
  }
  if (const std::optional<int> signal = signals.received()) {
    show(fmt::format("{}: {} of {} rounds were finished\n", strsignal(*signal), findings.repeats, command.repeats));
    constexpr int kSignalStatus = 128;  // the shell's convention
    return kSignalStatus + *signal;
  }
  require_same_bits(findings);
  return 0;
}

}  // namespace retape::trainer
