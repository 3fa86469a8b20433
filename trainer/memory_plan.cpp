#include "trainer/memory_plan.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "trainer/learner.h"
#include "trainer/run/peak_watch.h"

namespace retape::trainer {
namespace {

// The device whose workspaces the meta device is to know.
nn::DeviceKind modelled(const Config& config) {
  return config.run.device == DeviceChoice::cuda ? nn::DeviceKind::cuda : nn::DeviceKind::cpu;
}

// The first micro-step finds no gradients, the second does, and the third finds what the second left cached: more are
// like it.
constexpr std::int64_t kPlannedMicroSteps = 3;

// What has no part in memory is left out: a profile, and a hash of gradients that are not there.
Config planned(Config config) {
  config.train.grad_accum = std::min(config.train.grad_accum, kPlannedMicroSteps);
  config.run.hash_gradients = false;
  config.activation_checkpointing.profile = false;
  config.activation_checkpointing.synchronize_checkpoint_boundary = false;
  return config;
}

// Of a step, from that of the micro-steps that were planned.
nn::TapeStats work_of_a_step(nn::TapeStats work, std::int64_t micro_steps) {
  const std::int64_t done = std::min(micro_steps, kPlannedMicroSteps);
  for (std::int64_t* count : {&work.forward_ops, &work.rebuilt_ops, &work.forward_flops, &work.rebuilt_flops}) {
    *count /= done;
    require<ConfigError>(*count <= std::numeric_limits<std::int64_t>::max() / micro_steps,
                         "[train] grad_accum: expected a step whose FLOPs can be counted, got {} times {}", micro_steps,
                         *count);
    *count *= micro_steps;
  }
  return work;
}

// Two steps and an evaluation on meta. Throws DeviceError where this build lacks the device that the run is for.
class PlannedRun {
 public:
  // What becomes of values takes memory of its own, and is listed where it is asked for.
  enum class Residuals : std::uint8_t { left_out, listed };

  PlannedRun(const Config& config, std::int64_t vocab, std::optional<Bytes> limit, Bytes slab_bytes,
             Residuals residuals = Residuals::left_out)
      : config_(planned(config)),
        device_({.kind = nn::DeviceKind::meta,
                 .threads = static_cast<int>(config.run.threads),
                 .memory_limit = limit,
                 .modelled = modelled(config)}),
        peaks_(device_.memory()),
        learner_(device_, config_, vocab,
                 {.slab_bytes = slab_bytes,
                  .warn = [this](const std::string& warning) { notes_.push_back(warning); },
                  .recorded =
                      [this, residuals](const nn::Tape& tape) {
                        if (residuals == Residuals::listed && residuals_.empty()) {
                          residuals_ = tape.residuals();
                        }
                      },
                  .observer = &peaks_}) {
    const auto resize = [this](data::Batch& batch) {
      batch.rows = config_.train.batch_size;
      batch.seq_len = config_.model.seq_len;
    };
    // A later step starts with what an earlier one, or an evaluation, left cached.
    work_ = work_of_a_step(learner_.step(0, resize).work, config.train.grad_accum);
    peaks_.passed("the optimizer's step");
    if (config_.train.eval_every > 0) {
      data::Batch batch;
      resize(batch);
      learner_.evaluate(batch);
      peaks_.passed("an evaluation");
    }
    learner_.step(1, resize);
    peaks_.passed("the optimizer's step");
  }

  Learner& learner() { return learner_; }
  const PeakWatch& peaks() const { return peaks_; }
  const nn::TapeStats& work() const { return work_; }
  std::vector<nn::Residual> take_residuals() { return std::move(residuals_); }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  Config config_;
  nn::Device device_;
  PeakWatch peaks_;
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

// What a slab takes does not depend on the limit.
bool fits(const Config& config, std::int64_t vocab, Bytes limit, Bytes slab_bytes) {
  try {
    [[maybe_unused]] const PlannedRun run(config, vocab, limit, slab_bytes);
    return true;
  } catch (const OutOfMemory&) {
    return false;
  }
}

// How many runs a search may try. A run takes a microsecond or so for each op, and an answer should take seconds.
std::int64_t tries_of_a_search(const Config& config, const MemoryPlan& plan) {
  constexpr std::int64_t kMostOps = 100'000;
  constexpr std::int64_t kFewest = 2;
  const std::int64_t ops = plan.work.forward_ops / config.train.grad_accum;
  return std::max(kFewest, kMostOps / std::max<std::int64_t>(1, ops));
}

// A batch that fits: the largest, where there are tries enough to find it. 0 where not even one row does, none where
// that was not found out.
std::optional<std::int64_t> batch_that_fits(Config config, std::int64_t vocab, std::int64_t tries) {
  std::int64_t low = 0;
  std::int64_t high = config.train.batch_size;  // known not to fit
  for (; high - low > 1 && tries > 0; --tries) {
    config.train.batch_size = (low + high) / 2;
    const bool enough = fits(config, vocab, config.run.memory_limit, measure_slab(config, vocab));
    (enough ? low : high) = config.train.batch_size;
  }
  return low == 0 && high > 1 ? std::nullopt : std::optional(low);
}

// A limit that is enough, where there are tries enough the smallest to a thousandth: more than the peak, since segments
// have gaps, and less than what a run without a limit reserves, since it keeps what it does not use.
Bytes limit_that_fits(const Config& config, std::int64_t vocab, const MemoryPlan& unlimited, std::int64_t tries) {
  constexpr Bytes kPrecision = 1000;
  Bytes low = unlimited.stats.peak - 1;
  Bytes high = unlimited.stats.peak_reserved;
  for (; high - low > std::max<Bytes>(1, high / kPrecision) && tries > 0; --tries) {
    const Bytes middle = low + (high - low) / 2;
    (fits(config, vocab, middle, unlimited.slab_bytes) ? high : low) = middle;
  }
  return high;
}

MemoryPlan plan_without_limit(const Config& config, std::int64_t vocab) {
  const Bytes slab_bytes = measure_slab(config, vocab);
  PlannedRun run(config, vocab, std::nullopt, slab_bytes, PlannedRun::Residuals::listed);
  const checkpointing::Checkpointer& checkpointer = run.learner().checkpointer();
  MemoryPlan plan{.stats = run.learner().memory(),
                  .peak_at = run.peaks().peak(),
                  .activation_peak_at = run.peaks().activation_peak(),
                  .slab_bytes = slab_bytes,
                  .residuals = run.take_residuals(),
                  .work = run.work(),
                  .notes = run.notes()};
  checkpointer.require_effect(plan.residuals);
  if (checkpointer.is_configured()) {
    plan.host_peak_bytes = checkpointer.store_stats().host_peak;
  }
  return plan;
}

std::string advice_on_batch(const std::optional<std::int64_t>& batch) {
  if (!batch) {
    return "a much smaller train.batch_size may fit";
  }
  return *batch > 0 ? fmt::format("train.batch_size = {} would fit", *batch) : "not even train.batch_size = 1 fits";
}

}  // namespace

MemoryPlan plan_memory(const Config& config, std::int64_t vocab) {
  MemoryPlan plan = plan_without_limit(config, vocab);
  const Config::ActivationCheckpointing& activations = config.activation_checkpointing;
  if (activations.partition_activations && config.parallel.tensor == 1) {
    plan.notes.emplace_back("partition_activations does nothing here: there is one tensor-parallel rank");
  }
  if (activations.number_checkpoints > 0 && !activations.contiguous_memory_optimization) {  // a DeepSpeed file's
    plan.notes.push_back(
        fmt::format("number_checkpoints of {} does nothing here: contiguous_memory_optimization is off",
                    activations.deepspeed_config));
  }
  const Bytes limit = config.run.memory_limit;
  plan.fits = limit == 0 || (limit >= plan.stats.peak && fits(config, vocab, limit, plan.slab_bytes));
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
  table += fmt::format("\n  {:<14}{:>12}  in {}", "total", format_bytes(plan.stats.peak), plan.peak_at);
  table += fmt::format("\n  (activations peak at {}, in {})", format_bytes(plan.stats.activation_peak),
                       plan.activation_peak_at);
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
  const std::int64_t tries = tries_of_a_search(config, plan);
  const std::optional<std::int64_t> batch = batch_that_fits(config, vocab, tries);
  const Bytes needed = limit_that_fits(config, vocab, plan, tries);
  fail<OutOfMemory>("[memory] run.memory_limit: expected at least {} bytes ({}) for train.batch_size = {}, got {}; {}",
                    needed, format_bytes(needed), config.train.batch_size, format_bytes(config.run.memory_limit),
                    advice_on_batch(batch));
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
