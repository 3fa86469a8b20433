#include "trainer/study.h"

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "data/atomic_file.h"
#include "trainer/memory_plan.h"
#include "trainer/opened_run.h"
#include "trainer/study_policies.h"
#include "trainer/study_report.h"

namespace retape::trainer {
namespace {

using Milliseconds = std::chrono::duration<double, std::milli>;

// A policy that is known to have an effect and to fit.
struct PlannedPolicy {
  Config config;
  MemoryPlan plan;
};

PlannedPolicy plan_policy(const Config& config, const StudiedPolicy& policy, std::int64_t vocab) {
  PlannedPolicy planned{.config = with_policy(config, policy), .plan = {}};
  planned.plan = plan_memory(planned.config, vocab);
  try {
    require_fit(planned.config, vocab, planned.plan);
    require_machine_has(planned.plan);
  } catch (const OutOfMemory& error) {
    fail<OutOfMemory>("--policies {}: {}", policy.text, error.what());
  }
  return planned;
}

// Adds times and memory to the findings; returns the bits.
RunBits run_policy(const PlannedPolicy& planned, const data::Dataset& dataset, std::int64_t steps,
                   PolicyFindings& findings) {
  const Config& config = planned.config;
  const std::unique_ptr<nn::Device> device = open_device(config);
  Learner learner(*device, config, dataset.vocab, {.slab_bytes = planned.plan.slab_bytes});
  load_weights(config, std::nullopt, learner);
  data::Sampler sampler = open_sampler(config, dataset, std::nullopt);
  RunBits bits;
  for (std::int64_t step = 0; step < steps; ++step) {
    const auto start = std::chrono::steady_clock::now();
    const StepResult result = learner.step(step, [&](data::Batch& batch) { sampler.next(batch); });
    const Milliseconds time = std::chrono::steady_clock::now() - start - result.hash_time;
    if (step > 0) {
      findings.step_ms.push_back(time.count());
      findings.recompute_share.push_back(Milliseconds(result.work.rebuild_time) / time);
    }
    bits.losses.push_back(result.loss);
    bits.grad_hashes.push_back(result.grad_hash.value());
  }
  findings.measured = learner.memory();
  return bits;
}

// In rounds, so that what slows the machine down for a while slows every policy down.
void run_all(const std::vector<PlannedPolicy>& planned, const data::Dataset& dataset, StudyFindings& findings) {
  std::optional<RunBits> expected;
  for (std::int64_t repeat = 0; repeat < findings.repeats; ++repeat) {
    for (std::size_t i = 0; i < planned.size(); ++i) {
      PolicyFindings& policy = findings.policies[i];
      fmt::print("round {} of {}: {}\n", repeat + 1, findings.repeats, policy.policy);
      std::fflush(stdout);
      RunBits bits = run_policy(planned[i], dataset, findings.steps, policy);
      if (!expected) {
        expected = bits;
      }
      if (!policy.differs_at) {
        policy.differs_at = first_difference(*expected, bits);
        policy.bits = std::move(bits);
      }
    }
  }
}

// The files are there, under names of their own, before hours are spent on what goes into them.
struct ReportFiles {
  data::AtomicFile csv;
  data::AtomicFile json;
};

ReportFiles open_report_files(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  require<DataError>(!error, "[study] output: {} cannot be made: {}", folder.string(), error.message());
  return {.csv = data::AtomicFile(folder / "study.csv"), .json = data::AtomicFile(folder / "study.json")};
}

void report(ReportFiles& files, const StudyFindings& findings) {
  fmt::print("{}\n", study_table(findings));
  files.csv.write(study_csv(findings));
  files.json.write(study_json(findings));
  files.csv.commit();
  files.json.commit();
  fmt::print("the same, and more, in {} and {}\n", files.csv.path().string(), files.json.path().string());
}

}  // namespace

int study(const Config& config, const StudyCommand& command) {
  require<ConfigError>(command.steps >= 2, "--steps: expected at least 2, of which the first is not timed, got {}",
                       command.steps);
  require<ConfigError>(command.repeats >= 1, "--repeats: expected at least 1, got {}", command.repeats);
  const std::vector<StudiedPolicy> policies = parse_policies(command.policies);
  Config studied = config;
  studied.run.hash_gradients = true;
  studied.train.eval_every = 0;
  studied.run.sample_tokens = 0;
  const data::Dataset dataset = open_data(studied, std::nullopt);
  StudyFindings findings{.steps = command.steps, .repeats = command.repeats, .policies = {}};
  std::vector<PlannedPolicy> planned;
  for (const StudiedPolicy& policy : policies) {
    planned.push_back(plan_policy(studied, policy, dataset.vocab));
    findings.policies.push_back({.policy = policy.text, .predicted = planned.back().plan.stats});
  }
  open_device(studied);  // refuses one that there is not, before a folder is made
  ReportFiles files = open_report_files(command.output.empty() ? config.run.out_dir : command.output);
  run_all(planned, dataset, findings);
  report(files, findings);
  require_same_bits(findings);
  return 0;
}

}  // namespace retape::trainer
