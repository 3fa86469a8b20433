#include "trainer/memory_plan.h"

#include <unistd.h>

#include <algorithm>

#include "trainer/learner.h"

namespace retape::trainer {
namespace {

// The device whose workspaces the meta device is to know.
nn::DeviceKind modelled(const Config& config) {
  return config.run.device == DeviceChoice::cuda ? nn::DeviceKind::cuda : nn::DeviceKind::cpu;
}

// Two steps and an evaluation on meta. Throws DeviceError where this build lacks the device that the run is for.
class PlannedRun {
 public:
  PlannedRun(const Config& config, std::int64_t vocab, std::optional<Bytes> limit, Bytes slab_bytes)
      : device_({.kind = nn::DeviceKind::meta,
                 .threads = static_cast<int>(config.run.threads),
                 .memory_limit = limit,
                 .modelled = modelled(config)}),
        learner_(device_, config, vocab,
                 {.slab_bytes = slab_bytes,
                  .warn = [this](const std::string& warning) { notes_.push_back(warning); },
                  .recorded =
                      [this](const nn::Tape& tape) {
                        if (residuals_.empty()) {
                          residuals_ = tape.residuals();
                        }
                      }}) {
    const auto resize = [&config](data::Batch& batch) {
      batch.rows = config.train.batch_size;
      batch.seq_len = config.model.seq_len;
    };
    // A later step starts with what an earlier one, or an evaluation, left cached.
    work_ = learner_.step(0, resize).work;
    if (config.train.eval_every > 0) {
      data::Batch batch;
      resize(batch);
      learner_.evaluate(batch);
    }
    learner_.step(1, resize);
  }

  Learner& learner() { return learner_; }
  const std::vector<nn::Residual>& residuals() const { return residuals_; }
  const nn::TapeStats& work() const { return work_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  nn::Device device_;
  std::vector<nn::Residual> residuals_;
  std::vector<std::string> notes_;
  Learner learner_;
  nn::TapeStats work_;
};

// A first run without a slab says how large one has to be. The host holds a slab whole or not at all, so that what part
// of it would fit there does not matter.
Bytes measure_slab(Config config, std::int64_t vocab) {
  Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  activations.host_memory_limit = 0;
  if (!activations.contiguous_memory_optimization || activations.number_checkpoints > 0) {
    return 0;
  }
  return PlannedRun(config, vocab, std::nullopt, 0).learner().checkpointer().store_stats().slab_top;
}

bool fits(const Config& config, std::int64_t vocab, Bytes limit) {
  try {
    [[maybe_unused]] const PlannedRun run(config, vocab, limit, measure_slab(config, vocab));
    return true;
  } catch (const OutOfMemory&) {
    return false;
  }
}

// 0 where not even one row does.
std::int64_t largest_batch_that_fits(Config config, std::int64_t vocab) {
  std::int64_t low = 0;
  std::int64_t high = config.train.batch_size;  // known not to fit
  while (high - low > 1) {
    config.train.batch_size = (low + high) / 2;
    (fits(config, vocab, config.run.memory_limit) ? low : high) = config.train.batch_size;
  }
  return low;
}

// The smallest limit that is enough, to a thousandth: more than the peak, since segments have gaps, and less than what
// a run without a limit reserves, since it keeps what it does not use.
Bytes smallest_limit(const Config& config, std::int64_t vocab, const nn::MemoryStats& unlimited) {
  constexpr Bytes kPrecision = 1000;
  Bytes low = unlimited.peak - 1;
  Bytes high = unlimited.peak_reserved;
  while (high - low > std::max<Bytes>(1, high / kPrecision)) {
    const Bytes middle = low + (high - low) / 2;
    (fits(config, vocab, middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

MemoryPlan plan_memory(const Config& config, std::int64_t vocab) {
  const Bytes slab_bytes = measure_slab(config, vocab);
  PlannedRun run(config, vocab, std::nullopt, slab_bytes);
  const checkpointing::Checkpointer& checkpointer = run.learner().checkpointer();
  checkpointer.require_effect(run.residuals());
  MemoryPlan plan{.stats = run.learner().memory(),
                  .slab_bytes = slab_bytes,
                  .residuals = run.residuals(),
                  .work = run.work(),
                  .notes = run.notes()};
  if (checkpointer.is_configured()) {
    plan.host_peak_bytes = checkpointer.store_stats().host_peak;
  }
  const Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  if (activations.partition_activations && config.parallel.tensor == 1) {
    plan.notes.emplace_back("partition_activations does nothing here: there is one tensor-parallel rank");
  }
  if (activations.number_checkpoints > 0 && !activations.contiguous_memory_optimization) {  // a DeepSpeed file's
    plan.notes.push_back(
        fmt::format("number_checkpoints of {} does nothing here: contiguous_memory_optimization is off",
                    activations.deepspeed_config));
  }
  plan.fits = config.run.memory_limit == 0 || fits(config, vocab, config.run.memory_limit);
  return plan;
}

std::string memory_table(const MemoryPlan& plan) {
  std::string table = fmt::format("{:<16}{:>12}", "memory", "at the peak");
  for (int t = 0; t < nn::kTagCount; ++t) {
    const Bytes bytes = plan.stats.at_peak_by_tag[static_cast<std::size_t>(t)];
    if (bytes > 0) {
      table += fmt::format("\n  {:<14}{:>12}", nn::name(static_cast<nn::Tag>(t)), format_bytes(bytes));
    }
  }
  table += fmt::format("\n  {:<14}{:>12}", "total", format_bytes(plan.stats.peak));
  table += fmt::format("\n  (activations peak at {})", format_bytes(plan.stats.activation_peak));
  if (plan.host_peak_bytes > 0) {
    table += fmt::format("\n  ({} of checkpoints in host memory)", format_bytes(plan.host_peak_bytes));
  }
  for (const std::string& note : plan.notes) {
    table += fmt::format("\n  note: {}", note);
  }
  return table;
}

void require_fit(const Config& config, std::int64_t vocab, const MemoryPlan& plan) {
  if (plan.fits) {
    return;
  }
  const std::int64_t batch = largest_batch_that_fits(config, vocab);
  const Bytes needed = smallest_limit(config, vocab, plan.stats);
  fail<OutOfMemory>("[memory] run.memory_limit: expected at least {} bytes ({}) for train.batch_size = {}, got {}; {}",
                    needed, format_bytes(needed), config.train.batch_size, format_bytes(config.run.memory_limit),
                    batch > 0 ? fmt::format("train.batch_size = {} would fit", batch)
                              : std::string("not even train.batch_size = 1 fits"));
}

void require_machine_has(const MemoryPlan& plan) {
  const Bytes has = Bytes{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  const Bytes takes = plan.stats.peak_reserved + plan.host_peak_bytes;  // the cpu device's memory is the host's
  const std::string offloaded =
      plan.host_peak_bytes > 0 ? fmt::format(", {} of it offloaded", format_bytes(plan.host_peak_bytes)) : "";
  require<OutOfMemory>(takes <= has,
                       "[memory] expected a run that fits this machine's {}, got one that takes {}{}; make "
                       "train.batch_size or the model smaller, or turn on activation_checkpointing",
                       format_bytes(has), format_bytes(takes), offloaded);
}

}  // namespace retape::trainer
