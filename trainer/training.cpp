#include "trainer/training.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <span>
#include <utility>

#include "data/windows.h"
#include "nn/runtime/cpu/machine.h"
#include "trainer/machine_peak.h"
#include "trainer/memory_plan.h"
#include "trainer/metrics.h"
#include "trainer/one_line.h"
#include "trainer/opened_run.h"
#include "trainer/plan_command.h"
#include "trainer/progress.h"
#include "trainer/run/run_folder.h"
#include "trainer/run/saved_data.h"
#include "trainer/run/take_folder.h"
#include "trainer/run_state.h"
#include "trainer/sampling.h"
#include "trainer/stop_signals.h"

namespace retape::trainer {
namespace {

void print_start(const Config& config, const Gpt& model, const data::Dataset& dataset, const MemoryPlan& plan) {
  show(fmt::format("{}: {} parameters; a vocabulary of {}\n{} tokens to train on, {} to validate on\n{}\n",
                   on_one_line(config.run.name), model.parameter_count(), dataset.vocab, dataset.train.size(),
                   dataset.val.size(), memory_table(plan)));
  if (const std::string sampled = data::describe_sampled(dataset.fingerprint.value()); !sampled.empty()) {
    show(sampled + "\n");
  }
}

// The loop over the steps of one run.
class TrainingLoop {
 public:
  TrainingLoop(const Config& config, const RunFolder& folder, const data::Dataset& dataset, Learner& learner,
               data::Sampler sampler, const RunPosition& start, std::filesystem::path from, const MetricsStart& metrics,
               std::vector<std::filesystem::path> not_whole, double peak_flops)
      : config_(config),
        folder_(folder),
        dataset_(dataset),
        learner_(learner),
        sampler_(std::move(sampler)),
        metrics_(metrics, [this](const std::string& warning) { warn(warning); }),
        progress_(start.step, config.train.steps, config.run.log_every),
        not_whole_(std::move(not_whole)),
        from_(std::move(from)),
        first_step_(start.step),
        last_saved_(start.step),
        tokens_(start.tokens),
        evaluation_due_(start.evaluation_due),
        peak_flops_(peak_flops) {}

  // The signal that ended it, if one did.
  std::optional<int> run(const StopSignals& signals) {
    const std::optional<int> signal = run_steps(signals);
    progress_.finish(config_.run.out_dir);
    print_profile();
    show(stopped_);
    return signal;
  }

 private:
  bool evaluates() const { return config_.train.eval_every > 0 && !dataset_.val.empty(); }

  std::optional<int> run_steps(const StopSignals& signals) {
    std::optional<int> signal;
    if (evaluation_due_ && evaluates()) {
      const bool done = evaluate(first_step_, signals);
      signal = save_or_stop({.step = first_step_, .tokens = tokens_, .evaluation_due = !done}, signals);
    }
    for (std::int64_t step = first_step_; step < config_.train.steps && !signal; ++step) {
      train_step(step);
      const std::int64_t done = step + 1;
      const bool last = done == config_.train.steps;
      RunPosition position{.step = done, .tokens = tokens_};
      if (evaluates() && (last || done % config_.train.eval_every == 0)) {
        position.evaluation_due = !evaluate(done, signals);
      }
      const bool save_due = last || (config_.train.save_every > 0 && done % config_.train.save_every == 0);
      if (save_due || signals.received()) {
        signal = save_or_stop(position, signals);
      }
    }
    return signal;
  }

  // Saves; where a signal ends the run there, returns that.
  std::optional<int> save_or_stop(const RunPosition& position, const StopSignals& signals) {
    const std::filesystem::path saved = save(position);
    const std::optional<int> signal = signals.received();
    if (signal) {
      stopped_ = describe_stop(*signal, position.step, saved);
    }
    return signal;
  }

  void train_step(std::int64_t step) {
    const auto start = std::chrono::steady_clock::now();
    StepRow row{.step = step};
    row.result = learn(step);
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    const std::int64_t rows = config_.train.batch_size * config_.train.grad_accum;
    const auto tokens = rows * config_.model.seq_len;
    const nn::MemoryStats memory = learner_.memory();
    tokens_ += tokens;
    row.tokens = tokens_;
    row.step_ms = 1e3 * time.count();
    row.tokens_per_s = static_cast<double>(tokens) / time.count();
    row.mfu =
        static_cast<double>(learner_.model().step_flops(rows, config_.model.seq_len)) / time.count() / peak_flops_;
    row.peak_bytes = memory.peak;
    row.activation_peak_bytes = memory.activation_peak;
    if (row.result.profile) {
      profile_.add(*row.result.profile);
      ++profiled_steps_;
    }
    write_to_folder(
        [&] { metrics_.write_step(row, config_.run.log_gradients ? &learner_.model().parameters() : nullptr); });
    progress_.step(row);
    if (row.mfu > 1 && !std::exchange(told_of_peak_, true)) {
      progress_.say(
          fmt::format("step {}: faster than the machine's peak: its {:.0f} GFLOP/s were measured while it was busy",
                      step + 1, peak_flops_ * 1e-9));
    }
  }

  // What `work` on the weights after so many steps returns; its errors say which checkpoint is good, too.
  template <class Work>
  auto or_say_what_is_good(std::int64_t done, const Work& work) const {
    try {
      return work();
    } catch (const OutOfMemory&) {
      throw;                            // no fault of the weights
    } catch (const DataError& error) {  // nor is this one
      fail<DataError>("{}; {}", Whole{error.what()}, last_good_checkpoint(done + 1));
    } catch (const Error& error) {
      fail("{}; {}", Whole{error.what()}, last_good_checkpoint(done));
    }
  }

  StepResult learn(std::int64_t step) {
    return or_say_what_is_good(
        step, [&] { return learner_.step(step, [this](data::Batch& batch) { sampler_.next(batch); }); });
  }

  // A checkpoint of the very weights that failed is not good, though it is whole.
  std::string last_good_checkpoint(std::int64_t step) const {
    for (const CheckpointEntry& entry : list_checkpoints(checkpoint_directory(config_))) {
      if (entry.step < step) {
        return fmt::format("the last good checkpoint is {}", entry.path.string());
      }
    }
    if (!from_.empty() && first_step_ < step) {  // one that lies elsewhere
      return fmt::format("the last good checkpoint is {}", from_.string());
    }
    return "there is no checkpoint from before";
  }

  // False where a signal cuts it short.
  bool evaluate(std::int64_t done, const StopSignals& signals) {
    const std::optional<double> loss =
        or_say_what_is_good(done, [&] { return validation_loss(config_, dataset_.val, learner_, &signals); });
    if (!loss) {
      return false;
    }
    require(std::isfinite(*loss), "[train] validation after step {}: expected a finite loss, got {}; {}", done, *loss,
            last_good_checkpoint(done));
    write_to_folder([&] { metrics_.write_evaluation(done, *loss); });
    progress_.say(fmt::format("after step {}/{}  validation loss {:.4f}", done, config_.train.steps, *loss));
    return true;
  }

  // Where activation_checkpointing.profile is on.
  void print_profile() const {
    if (!profile_.regions().empty()) {
      show(profile_.table(profiled_steps_));
    }
  }

  std::filesystem::path save(const RunPosition& position) {
    require_good_weights(position.step);
    std::filesystem::path saved;
    write_to_folder([&] {
      metrics_.sync();  // no checkpoint without the rows before it
      saved = save_run(checkpoint_directory(config_), position, config_, learner_, sampler_, dataset_, not_whole_);
    });
    last_saved_ = position.step;
    return saved;
  }

  // A folder that is gone, before or while it is written to, is the reason for whatever fails then.
  template <class Write>
  void write_to_folder(const Write& write) const {
    const auto require_folder = [this] {
      folder_.require_in_place(fmt::format("what was trained after step {}, the last one saved", last_saved_));
    };
    require_folder();
    try {
      write();
    } catch (const DataError&) {
      require_folder();
      throw;
    }
  }

  void warn(const std::string& warning) { progress_.warn(warning); }

  // Weights that nothing can be learnt from must not take the place of good ones: they may be finite and yet too large
  // for any finite loss, which a single row shows.
  void require_good_weights(std::int64_t done) {
    for (const nn::Parameter* parameter : learner_.model().parameters()) {
      const std::span weights(parameter->weight().data_as<float>(), static_cast<std::size_t>(parameter->elems()));
      if (!std::ranges::all_of(weights, [](float weight) { return std::isfinite(weight); })) {
        fail("[train] save after step {}: expected finite weights, got others in {}; {}", done, parameter->name(),
             last_good_checkpoint(done));
      }
    }
    const double loss = or_say_what_is_good(done, [&] {
      data::Batch row;
      data::Windows(dataset_.train, 1, config_.model.seq_len).next(row);
      return learner_.evaluate(row);
    });
    require(std::isfinite(loss), "[train] save after step {}: expected weights with a finite loss, got {}; {}", done,
            loss, last_good_checkpoint(done));
  }

  std::string describe_stop(int signal, std::int64_t done, const std::filesystem::path& saved) const {
    const std::string how = config_.train.resume == "auto" ? "the same command" : "train.resume=" + saved.string();
    return fmt::format("{}: saved after step {} of {}; {} goes on from there\n", strsignal(signal), done,
                       config_.train.steps, how);
  }

  const Config& config_;
  const RunFolder& folder_;
  const data::Dataset& dataset_;
  Learner& learner_;
  data::Sampler sampler_;
  Metrics metrics_;
  Progress progress_;
  checkpointing::Profile profile_;  // of all steps
  std::int64_t profiled_steps_ = 0;
  std::vector<std::filesystem::path> not_whole_;  // checkpoints that go for the next one saved
  std::filesystem::path from_;                    // the checkpoint of the first step; empty: none
  std::int64_t first_step_;
  std::int64_t last_saved_;
  std::int64_t tokens_;  // trained on so far
  bool evaluation_due_;  // before the first step
  double peak_flops_;
  bool told_of_peak_ = false;  // that it was measured too low
  std::string stopped_;        // what to say at the end of a run that a signal ended
};

void print_sample(const Config& config, const data::Dataset& dataset, Learner& learner,
                  std::vector<std::int32_t> prompt) {
  if (prompt.empty()) {
    return;
  }
  const std::vector<std::int32_t> text = sample(learner.context(), learner.model(), std::move(prompt),
                                                {.tokens = config.run.sample_tokens,
                                                 .seed = static_cast<std::uint64_t>(config.run.seed),
                                                 .vocab = dataset.tokenizer->vocab_size()});
  show(fmt::format("--- sample\n{}\n---\n", readable(config.run.sample_prompt + dataset.tokenizer->decode(text))));
}

// Meta computes nothing, so what is left of a training is the memory that it would take.
int print_memory(const Config& config) {
  print(fmt::format("{}\nrun.device = \"meta\" computes nothing: this is the memory that the training would take\n",
                    memory_table(plan_training(config, vocab_of_training(config)))));
  return 0;
}

std::string describe_resumption(const Config& config, const Checkpoint& checkpoint, const std::filesystem::path& path,
                                const data::Dataset& dataset) {
  std::string text =
      fmt::format("goes on after step {} of {} ({})\n", checkpoint.step(), config.train.steps, path.string());
  if (checkpoint.step() == config.train.steps) {
    text += "no step is left: train.steps sets more, train.resume=never starts anew\n";
  }
  if (const std::string changes = changed_settings(checkpoint, config); !changes.empty()) {
    text += fmt::format("changed since it was saved: {}\n", changes);
  }
  if (const std::string change = changed_data(checkpoint, path, dataset); !change.empty()) {
    text += change + "\n";
  }
  return text;
}

// Signals are held back no longer than there is something to save.
std::optional<int> run_until_signal(TrainingLoop& loop) {
  const StopSignals signals;
  return loop.run(signals);
}

}  // namespace

int train(const Config& config, const OutputOptions& options) {
  const auto started = std::chrono::steady_clock::now();
  if (config.run.device == DeviceChoice::meta) {
    return print_memory(config);
  }
  std::signal(SIGPIPE, SIG_IGN);         // a reader of the output may leave without ending the training
  RunFolder folder(config.run.out_dir);  // locked before the run's files are read
  std::vector<std::filesystem::path> not_whole;
  std::optional<Checkpoint> checkpoint = find_checkpoint(config, &not_whole);
  if (checkpoint) {
    require_can_go_on(*checkpoint, config);
  }
  FoundFiles found = look_through(config, checkpoint, options);
  const data::Dataset dataset = open_training_data(config, checkpoint);
  const std::vector<std::int32_t> prompt = sample_prompt(config, dataset.tokenizer.get());
  require_weights(config, checkpoint, dataset.vocab, /*trains=*/true);
  const MemoryPlan plan = plan_memory(config, dataset.vocab);
  require_fit(config, dataset.vocab, plan);
  require_machine_has(plan);
  const std::unique_ptr<nn::Device> device = open_device(config);
  Learner learner(*device, config, dataset.vocab, {.slab_bytes = plan.slab_bytes});
  load_weights(config, checkpoint, learner);
  data::Sampler sampler = open_sampler(config, dataset, checkpoint);
  // Everything that can be refused has been: from here on files change.
  const std::filesystem::path from = take_folder(config, checkpoint, options, found, folder);
  print_start(config, learner.model(), dataset, plan);
  if (const std::string& limit = device->cpu().thread_limit(); !limit.empty()) {
    show(fmt::format("threads: {}, and no more: {}\n", device->cpu().threads(), limit));
  }

  const RunPosition start = checkpoint ? saved_position(*checkpoint) : RunPosition();
  const std::string resumption = checkpoint ? describe_resumption(config, *checkpoint, from, dataset) : std::string();
  checkpoint.reset();  // a file that is still open takes up the disk, also once it has been removed
  const double peak_flops = measure_peak_flops(static_cast<int>(config.run.threads), config.model.dtype);
  const MetricsStart metrics{.path = metrics_in(folder.path()),
                             .earlier = std::move(found.rows.kept),
                             .resumed = start.step > 0,
                             .time = started};
  TrainingLoop loop(config, folder, dataset, learner, std::move(sampler), start, from, metrics, std::move(not_whole),
                    peak_flops);
  show(resumption);
  if (const std::optional<int> signal = run_until_signal(loop)) {
    constexpr int kSignalStatus = 128;  // the shell's convention
    return kSignalStatus + *signal;
  }
  print_sample(config, dataset, learner, prompt);
  return 0;
}

}  // namespace retape::trainer
