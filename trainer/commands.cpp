#include "trainer/commands.h"

#include <cmath>

#include "data/atomic_file.h"
#include "data/marked_file.h"
#include "data/prepare.h"
#include "trainer/model_weights.h"
#include "trainer/one_line.h"
#include "trainer/opened_run.h"
#include "trainer/run_state.h"

namespace retape::trainer {
namespace {

void require_checkpoint(bool ok, const Config& config, std::string_view advice) {
  require<DataError>(ok, "[run] {}: expected a checkpoint, found none; {}", checkpoint_directory(config).string(),
                     advice);
}

// The checkpoint that a command works on; there must be one unless model.init_from gives weights. Warns where both
// would.
std::optional<Checkpoint> trained(const Config& config) {
  std::optional<Checkpoint> checkpoint = find_trained(config);
  const std::string& init_from = config.model.init_from;
  require_checkpoint(checkpoint || !init_from.empty(), config, "train first, or set model.init_from");
  if (checkpoint && !init_from.empty()) {
    print_warning(fmt::format("takes the weights of {}, not of model.init_from = {}; another run.out_dir takes those",
                              excerpt(checkpoint->path().string()), excerpt(init_from)));
  }
  return checkpoint;
}

// A model with its weights, for commands that need no data.
struct TrainedModel {
  std::unique_ptr<nn::Device> device;
  std::unique_ptr<Learner> learner;

  TrainedModel(const Config& config, const std::optional<Checkpoint>& checkpoint, std::int64_t vocab) {
    require_weights(config, checkpoint, vocab, /*trains=*/false);
    device = open_device(config);
    learner = std::make_unique<Learner>(*device, config, vocab, LearnerOptions{.trains = false});
    load_weights(config, checkpoint, *learner);
  }
};

std::int64_t vocab_of(const Config& config, const std::optional<Checkpoint>& checkpoint) {
  if (checkpoint) {
    return saved_vocab(*checkpoint);
  }
  return config.model.vocab > 0 ? config.model.vocab : vocab_in(config.model.init_from);
}

constexpr const char* kSample = "sample";

void show_sample(const SampleCommand& command, const std::string& text) {
  if (!command.output.empty()) {
    data::AtomicFile file(command.output);
    file.write(text);
    data::commit_with_mark(file, kSample);
    print(fmt::format("{} bytes in {}\n", text.size(), on_one_line(command.output)));
  } else if (command.raw) {
    write_out(text);
  } else {
    print(text + "\n");
  }
}

}  // namespace

int evaluate(const Config& config) {
  const std::optional<Checkpoint> checkpoint = trained(config);
  Config evaluated = config;
  evaluated.run.sample_tokens = 0;  // a training's
  const data::Dataset dataset = open_data(evaluated, checkpoint);
  require<ConfigError>(!dataset.val.empty(), "[data] val: expected validation tokens, got none (val_fraction is 0)");
  const TrainedModel trained(config, checkpoint, dataset.vocab);
  const double loss = *validation_loss(config, dataset.val, *trained.learner);
  require(std::isfinite(loss), "[eval] {}: expected weights with a finite validation loss, got {}",
          checkpoint ? checkpoint->path().string() : config.model.init_from, loss);
  print(fmt::format("validation loss {:.4f}{}\n", loss,
                    checkpoint ? fmt::format(" after step {}", checkpoint->step()) : std::string()));
  return 0;
}

int print_sample(const Config& config, const SampleCommand& command, const OutputOptions& output) {
  const std::optional<Checkpoint> checkpoint = find_trained(config);
  if (!command.output.empty()) {
    const data::OutputRules rules = output_rules(config, output, kSample);
    require_replaceable_beside(command.output, rules);
    require_none_of_a_run(command.output, rules.place);
  }
  require_checkpoint(checkpoint.has_value(), config, "train first");  // weights alone come without a tokenizer
  const std::shared_ptr<const data::Tokenizer> tokenizer = saved_tokenizer(*checkpoint);
  require<DataError>(tokenizer != nullptr, "[sample] {}: expected a run that keeps a tokenizer, found none",
                     config.run.out_dir);
  const std::vector<data::Token> prompt = tokenizer->encode(command.prompt);
  const TrainedModel trained(config, checkpoint, vocab_of(config, checkpoint));
  SamplingOptions options = command.options;
  options.vocab = tokenizer->vocab_size();
  const std::vector<std::int32_t> text =
      sample(trained.learner->context(), trained.learner->model(), {prompt.begin(), prompt.end()}, options);
  show_sample(command, command.prompt + tokenizer->decode(text));
  return 0;
}

int prepare(const PrepareCommand& command) {
  for (const std::filesystem::path& output :
       {std::filesystem::path(command.output), data::tokenizer_path_of(command.output)}) {
    require_none_of_a_run(output, "[prepare] output");
  }
  const data::PrepareResult result = data::prepare({.inputs = command.inputs,
                                                    .tokenizer = command.tokenizer,
                                                    .format = data::parse_format(command.format),
                                                    .output = command.output,
                                                    .force = command.force});
  print(fmt::format("{} tokens of {} files, vocabulary {}: {} and {}\n", result.tokens, result.files, result.vocab,
                    on_one_line(command.output), on_one_line(result.tokenizer_output.string())));
  return 0;
}

int export_model(const Config& config, const std::string& output, const OutputOptions& options) {
  const std::optional<Checkpoint> checkpoint = trained(config);
  data::OutputRules rules = output_rules(config, options, "export");
  if (checkpoint) {
    rules.read.push_back(checkpoint->path());
  }
  require_replaceable(output, rules, [&output] { return is_export(output); });
  require_none_of_a_run(output, rules.place);
  const TrainedModel trained(config, checkpoint, vocab_of(config, checkpoint));
  export_weights(output, trained.learner->model());
  print(fmt::format("{} parameters in {}\n", trained.learner->model().parameter_count(), on_one_line(output)));
  return 0;
}

}  // namespace retape::trainer
