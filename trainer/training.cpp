#include "trainer/training.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <utility>

#include "data/atomic_file.h"
#include "trainer/config_writer.h"
#include "trainer/machine_peak.h"
#include "trainer/memory_plan.h"
#include "trainer/metrics.h"
#include "trainer/opened_run.h"
#include "trainer/plan_command.h"
#include "trainer/progress.h"
#include "trainer/run_state.h"
#include "trainer/sampling.h"
#include "trainer/stop_signals.h"

namespace retape::trainer {
namespace {

void make_out_dir(const Config& config) {
  std::error_code error;
  std::filesystem::create_directories(config.run.out_dir, error);
  require<DataError>(!error, "[run] out_dir: {} cannot be made: {}", config.run.out_dir, error.message());
  data::remove_stale_temporaries(config.run.out_dir);
  data::AtomicFile file(std::filesystem::path(config.run.out_dir) / "config.toml");
  file.write(to_toml(config));
  file.commit();
}

void print_start(const Config& config, const Gpt& model, const data::Dataset& dataset, const MemoryPlan& plan) {
  fmt::print("{}: {} parameters, {} tokens to train on, {} to validate on, vocabulary {}\n{}\n", config.run.name,
             model.parameter_count(), dataset.train.size(), dataset.val.size(), dataset.vocab, memory_table(plan));
  std::fflush(stdout);
}

// The loop over the steps of one run.
class TrainingLoop {
 public:
  TrainingLoop(const Config& config, const data::Dataset& dataset, Learner& learner, data::Sampler sampler,
               std::int64_t first_step, double peak_flops)
      : config_(config),
        dataset_(dataset),
        learner_(learner),
        sampler_(std::move(sampler)),
        metrics_(config.run.out_dir, first_step),
        progress_(first_step, config.train.steps, config.run.log_every, isatty(STDOUT_FILENO) == 1),
        first_step_(first_step),
        peak_flops_(peak_flops) {}

  // The signal that ended it, if one did.
  std::optional<int> run(StopSignals& signals) {
    for (std::int64_t step = first_step_; step < config_.train.steps; ++step) {
      train_step(step);
      const std::int64_t done = step + 1;
      const bool last = done == config_.train.steps;
      if (config_.train.eval_every > 0 && !dataset_.val.empty() && (last || done % config_.train.eval_every == 0)) {
        evaluate(done);
      }
      const std::optional<int> signal = signals.take();
      if (last || signal || (config_.train.save_every > 0 && done % config_.train.save_every == 0)) {
        save(done);
      }
      if (signal) {
        progress_.say(fmt::format("{}: saved after step {} of {}; the same command goes on from there",
                                  strsignal(*signal), done, config_.train.steps));
        return signal;
      }
    }
    progress_.finish();
    print_profile();
    return std::nullopt;
  }

 private:
  void train_step(std::int64_t step) {
    const auto start = std::chrono::steady_clock::now();
    StepRow row{.step = step};
    row.result = learn(step);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    const std::int64_t rows = config_.train.batch_size * config_.train.grad_accum;
    const auto tokens = rows * config_.model.seq_len;
    const nn::MemoryStats memory = learner_.memory();
    row.tokens = (step + 1) * tokens;
    row.step_ms = 1e3 * time.count();
    row.tokens_per_s = static_cast<double>(tokens) / time.count();
    row.mfu =
        static_cast<double>(learner_.model().step_flops(rows, config_.model.seq_len)) / time.count() / peak_flops_;
    row.peak_bytes = memory.peak;
    row.activation_peak_bytes = memory.activation_peak;
    if (row.result.profile) {
      profile_.add(*row.result.profile);
    }
    metrics_.write_step(row, config_.run.log_gradients ? &learner_.model().parameters() : nullptr);
    progress_.step(row);
  }

  StepResult learn(std::int64_t step) {
    try {
      return learner_.step(step, [this](data::Batch& batch) { sampler_.next(batch); });
    } catch (const OutOfMemory&) {
      throw;  // no fault of the weights
    } catch (const Error& error) {
      fail("{}; {}", error.what(), last_good_checkpoint(step));
    }
  }

  // A checkpoint of the very weights that failed is not good, though it is whole.
  std::string last_good_checkpoint(std::int64_t step) const {
    for (const CheckpointEntry& entry : list_checkpoints(checkpoint_directory(config_))) {
      if (entry.step < step) {
        return fmt::format("the last good checkpoint is {}", entry.path.string());
      }
    }
    return "there is no checkpoint from before";
  }

  void evaluate(std::int64_t done) {
    const double loss = validation_loss(config_, dataset_.val, learner_);
    require(std::isfinite(loss), "[train] validation after step {}: expected a finite loss, got {}; {}", done, loss,
            last_good_checkpoint(done));
    metrics_.write_evaluation(done, loss);
    progress_.say(fmt::format("step {}/{}  validation loss {:.4f}", done, config_.train.steps, loss));
  }

  // Where activation_checkpointing.profile is on.
  void print_profile() const {
    if (!profile_.regions().empty()) {
      fmt::print("{}", profile_.table(config_.train.steps - first_step_));
    }
  }

  void save(std::int64_t done) {
    save_run(checkpoint_directory(config_), done, config_, learner_, sampler_, dataset_.tokenizer.get());
  }

  const Config& config_;
  const data::Dataset& dataset_;
  Learner& learner_;
  data::Sampler sampler_;
  Metrics metrics_;
  Progress progress_;
  checkpointing::Profile profile_;  // of all steps
  std::int64_t first_step_;
  double peak_flops_;
};

// What the sample at the end goes on from; empty where there is to be none.
std::vector<std::int32_t> sample_prompt(const Config& config, const data::Dataset& dataset) {
  if (config.run.sample_tokens == 0 || dataset.tokenizer == nullptr) {
    return {};
  }
  const std::vector<data::Token> encoded = dataset.tokenizer->encode({"run.sample_prompt", config.run.sample_prompt});
  require<ConfigError>(!encoded.empty(), "[run] sample_prompt: expected at least one token, got none");
  return {encoded.begin(), encoded.end()};
}

void print_sample(const Config& config, const data::Dataset& dataset, Learner& learner,
                  std::vector<std::int32_t> prompt) {
  if (prompt.empty()) {
    return;
  }
  const std::vector<std::int32_t> text = sample(learner.context(), learner.model(), std::move(prompt),
                                                {.tokens = config.run.sample_tokens,
                                                 .seed = static_cast<std::uint64_t>(config.run.seed),
                                                 .vocab = dataset.tokenizer->vocab_size()});
  fmt::print("--- sample\n{}{}\n---\n", config.run.sample_prompt, dataset.tokenizer->decode(text));
}

data::Sampler make_sampler(const Config& config, const data::Dataset& dataset,
                           const std::optional<Checkpoint>& checkpoint) {
  data::Sampler sampler(
      dataset.train, {.order = config.data.order == DataOrder::random ? data::Order::kRandom : data::Order::kSequential,
                      .seed = static_cast<std::uint64_t>(config.run.seed),
                      .batch_size = config.train.batch_size,
                      .seq_len = config.model.seq_len});
  if (checkpoint) {
    sampler.restore(sampler_state(*checkpoint));
  }
  return sampler;
}

// Meta computes nothing, so what is left of a training is the memory that it would take.
int print_memory(const Config& config) {
  fmt::print("{}\nrun.device = \"meta\" computes nothing: this is the memory that the training would take\n",
             memory_table(plan_training(config)));
  return 0;
}

}  // namespace

int train(const Config& config) {
  if (config.run.device == DeviceChoice::meta) {
    return print_memory(config);
  }
  StopSignals signals;
  const std::optional<Checkpoint> checkpoint = find_checkpoint(config);
  const data::Dataset dataset = open_data(config, checkpoint);
  const std::vector<std::int32_t> prompt = sample_prompt(config, dataset);
  const MemoryPlan plan = plan_memory(config, dataset.vocab);
  require_fit(config, dataset.vocab, plan);
  const std::unique_ptr<nn::Device> device = open_device(config);
  Learner learner(*device, config, dataset.vocab, {.slab_bytes = plan.slab_bytes});
  load_weights(config, checkpoint, learner);
  data::Sampler sampler = make_sampler(config, dataset, checkpoint);
  // Everything that can be refused has been: from here on files change.
  make_out_dir(config);
  print_start(config, learner.model(), dataset, plan);

  const std::int64_t first_step = checkpoint ? checkpoint->step() : 0;
  const double peak_flops = measure_peak_flops(static_cast<int>(config.run.threads), config.model.dtype);
  TrainingLoop loop(config, dataset, learner, std::move(sampler), first_step, peak_flops);
  if (checkpoint) {
    fmt::print("goes on after step {} of {} ({})\n", first_step, config.train.steps, checkpoint->path().string());
  }
  if (const std::optional<int> signal = loop.run(signals)) {
    constexpr int kSignalStatus = 128;  // the shell's convention
    return kSignalStatus + *signal;
  }
  print_sample(config, dataset, learner, prompt);
  return 0;
}

}  // namespace retape::trainer
