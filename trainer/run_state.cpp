#include "trainer/run_state.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "trainer/config_writer.h"
#include "trainer/model_weights.h"
#include "trainer/one_line.h"
#include "trainer/run/saved_data.h"
#include "trainer/run/saved_settings.h"
#include "trainer/run/saved_values.h"

namespace retape::trainer {
namespace {

using nlohmann::json;

// What no run comes near, so that nothing overflows that is computed from it.
constexpr std::int64_t kMostHeads = 1 << 20;
constexpr std::int64_t kMostVocab = std::int64_t{1} << 31;
constexpr std::int64_t kMostTokens = std::int64_t{1} << 62;

struct NamedTensor {
  std::string name;
  nn::Tensor tensor;
};

// Everything that a step changes, in the order of the parameters; the weights alone where no step is to come.
std::vector<NamedTensor> tensors_of(Learner& learner) {
  std::vector<NamedTensor> tensors;
  const nn::Parameters& parameters = learner.model().parameters();
  const std::vector<nn::AdamW::Moments>& moments = learner.optimizer().moments();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i]->name();
    tensors.push_back({name, parameters[i]->weight()});
    if (!moments.empty()) {  // of a learner that trains
      tensors.push_back({"first_moment." + name, moments[i].first});
      tensors.push_back({"second_moment." + name, moments[i].second});
    }
  }
  return tensors;
}

template <class AnyTensor>
std::string describe(const AnyTensor& tensor) {
  return tensor.dtype + " " + format_shape(tensor.shape);
}

// Throws DataError unless the checkpoint is of the model that the configuration describes. `tensors` are the learner's.
void require_same_model(const Checkpoint& checkpoint, const Gpt& model, std::span<const NamedTensor> tensors) {
  const auto require_same = [&checkpoint](const std::string& what, const auto& expected, const auto& found) {
    require<DataError>(found == expected, "[checkpoint] {}: {}: expected {} as in the configuration's model, got {}",
                       checkpoint.path().string(), what, expected, found);
  };
  for (const NamedTensor& own : tensors) {
    require_same(own.name, describe(named_bytes(own.name, own.tensor)),
                 checkpoint.has(own.name) ? describe(checkpoint.tensor(own.name)) : std::string("none"));
  }
  constexpr std::size_t kPerParameter = 3;  // its weight and its moments, which not every learner has
  require_same("number of tensors", kPerParameter * model.parameters().size(), checkpoint.tensors().size());
  // The only size of a model that no tensor shows.
  require_same("heads", model.shape().heads, saved_integer(checkpoint, "heads", 1, kMostHeads));
}

// Whether a run that goes on takes it from the checkpoint, so that another value would do nothing.
bool is_kept(std::string_view key) {
  constexpr std::array<std::string_view, 4> kKept{"run.seed", "model.init_from", "data.tokenizer", "data.order"};
  return std::find(kKept.begin(), kKept.end(), key) != kKept.end();
}

// Whether another value of the setting gives another result. What a run shows does not, and how long it goes on only
// where the learning rate falls until then.
bool shapes_result(std::string_view key, const Config& config) {
  if (key == "train.steps") {
    return config.optimizer.schedule == ScheduleChoice::cosine;
  }
  constexpr std::array<std::string_view, 4> kTables{"model.", "data.", "train.", "optimizer."};
  constexpr std::array<std::string_view, 5> kNot{"train.eval_", "train.save_", "train.keep_last", "train.resume",
                                                 "data.allow_change"};
  const auto is_of = [key](std::string_view beginning) { return key.starts_with(beginning); };
  return std::any_of(kTables.begin(), kTables.end(), is_of) && std::none_of(kNot.begin(), kNot.end(), is_of);
}

struct ChangedSetting {
  std::string key;
  std::string saved;
  std::string found;
};

std::vector<ChangedSetting> changes_since(const Checkpoint& checkpoint, const Config& config) {
  const auto saved = saved_settings(checkpoint);
  std::vector<ChangedSetting> changes;
  for (const auto& setting : settings_in(to_toml(config), "[config]")) {
    const auto before = std::find_if(saved.begin(), saved.end(),
                                     [&setting](const auto& entry) { return entry.first == setting.first; });
    if (before != saved.end() && before->second != setting.second) {
      changes.push_back({.key = setting.first, .saved = before->second, .found = setting.second});
    }
  }
  return changes;
}

// A run draws everything from its one seed.
void require_seed(const Checkpoint& checkpoint, std::string_view what, std::uint64_t found) {
  const std::uint64_t seed = saved_seed(checkpoint);
  require<DataError>(found == seed, "[checkpoint] {}: {}: expected run.seed = {}, got {}", checkpoint.path().string(),
                     what, seed, found);
}

// The rows that a run has drawn are those of the tokens that it was trained on. How many come in a step may have
// changed on the way, but each has one at least. In sequential order the position goes back where the tokens end, so it
// is less or equal.
void require_drawn(const Checkpoint& checkpoint, const data::SamplerState& state) {
  const RunPosition run = saved_position(checkpoint);
  const StoredTensor& positions = checkpoint.tensor("transformer.wpe.weight");
  const std::int64_t seq_len = positions.shape.empty() ? 0 : positions.shape.front();
  require<DataError>(seq_len > 0 && run.tokens % seq_len == 0 && run.tokens / seq_len >= run.step,
                     "[checkpoint] {}: state \"tokens\": expected whole rows of {}, one in each of {} steps at least, "
                     "got {}",
                     checkpoint.path().string(), seq_len, run.step, run.tokens);
  const std::int64_t rows = run.tokens / seq_len;
  const std::int64_t least = state.order == data::Order::kRandom ? rows : std::min<std::int64_t>(rows, 1);
  require<DataError>(state.position >= least && state.position <= rows,
                     "[checkpoint] {}: sampler: position: expected {} to {} after {} tokens in rows of {}, got {}",
                     checkpoint.path().string(), least, rows, run.tokens, seq_len, state.position);
}

}  // namespace

std::filesystem::path checkpoint_directory(const Config& config) {
  return std::filesystem::path(config.run.out_dir) / "checkpoints";
}

std::filesystem::path save_run(const std::filesystem::path& directory, const RunPosition& position,
                               const Config& config, Learner& learner, const data::Sampler& sampler,
                               const data::Dataset& dataset, std::span<const std::filesystem::path> not_whole) {
  const nn::RngState rng = learner.context().default_generator().state();
  json state{{"config", to_toml(config)},
             {"vocab", learner.model().shape().vocab},
             {"heads", learner.model().shape().heads},
             {"sampler", data::to_json(sampler.state())},
             {"rng_seed", rng.seed},
             {"rng_offset", rng.offset},
             {"optimizer_steps", learner.optimizer().steps()},
             {"tokens", position.tokens},
             {"evaluation_due", position.evaluation_due}};
  if (dataset.tokenizer != nullptr) {
    state["tokenizer"] = dataset.tokenizer->to_json();
  }
  if (dataset.fingerprint) {
    state[kSavedData] = data::to_json(*dataset.fingerprint);
  }
  const std::vector<NamedTensor> tensors = tensors_of(learner);
  std::vector<NamedBytes> named;
  named.reserve(tensors.size());
  for (const NamedTensor& tensor : tensors) {
    named.push_back(named_bytes(tensor.name, tensor.tensor));
  }
  return save_checkpoint(directory, position.step, state, named, config.train.keep_last, not_whole);
}

void require_model(const Checkpoint& checkpoint, const Config& config, std::int64_t vocab, bool trains) {
  nn::Device meta({.kind = nn::DeviceKind::meta});
  const auto say_nothing = [](const std::string&) {};
  Learner learner(meta, config, vocab, {.trains = trains, .warn = say_nothing});
  require_same_model(checkpoint, learner.model(), tensors_of(learner));
}

void restore_learner(const Checkpoint& checkpoint, Learner& learner) {
  const nn::RngState rng{.seed = saved_bits(checkpoint, "rng_seed"), .offset = saved_bits(checkpoint, "rng_offset")};
  require_seed(checkpoint, "state \"rng_seed\"", rng.seed);
  // Each step of a run is one of its optimizer.
  const std::int64_t steps = saved_integer(checkpoint, "optimizer_steps", checkpoint.step(), checkpoint.step());
  std::vector<NamedTensor> tensors = tensors_of(learner);
  require_same_model(checkpoint, learner.model(), tensors);
  nn::Context& context = learner.context();
  for (NamedTensor& own : tensors) {
    const StoredTensor& saved = checkpoint.tensor(own.name);
    auto* to = static_cast<std::byte*>(own.tensor.data());
    checkpoint.file().visit(saved, saved.bytes, [&](Bytes offset, std::span<const std::byte> piece) {
      context.device().copy_from_host(to + offset, piece.data(), static_cast<Bytes>(piece.size()));
    });
  }
  for (nn::Parameter* parameter : learner.model().parameters()) {
    parameter->weight_changed(context);
  }
  context.default_generator().set_state(rng);
  learner.optimizer().set_steps(steps);
}

RunPosition saved_position(const Checkpoint& checkpoint) {
  return {.step = checkpoint.step(),
          .tokens = saved_integer(checkpoint, "tokens", checkpoint.step(), kMostTokens),  // at least one in each
          .evaluation_due = saved_flag(checkpoint, "evaluation_due")};
}

void require_can_go_on(const Checkpoint& checkpoint, const Config& config) {
  require<ConfigError>(config.train.steps >= checkpoint.step(),
                       "[train] steps: expected at least {}, the step of {}, got {}", checkpoint.step(),
                       checkpoint.path().string(), config.train.steps);
  for (const ChangedSetting& change : changes_since(checkpoint, config)) {
    const std::size_t dot = change.key.find('.');
    require<ConfigError>(!is_kept(change.key), "[{}] {}: expected {}, that of {}, got {}; a run that goes on keeps it",
                         change.key.substr(0, dot), change.key.substr(dot + 1), change.saved,
                         checkpoint.path().string(), change.found);
  }
}

std::string changed_settings(const Checkpoint& checkpoint, const Config& config) {
  std::string changes;
  for (const auto& [key, saved, found] : changes_since(checkpoint, config)) {
    if (shapes_result(key, config)) {
      changes += fmt::format("{}{}: {} -> {}", changes.empty() ? "" : ", ", key, saved, found);
    }
  }
  return changes;
}

data::SamplerState sampler_state(const Checkpoint& checkpoint) {
  const data::SamplerState state = data::sampler_state_from_json(saved_text(checkpoint, "sampler"));
  require_seed(checkpoint, "sampler: seed", state.seed);
  require_drawn(checkpoint, state);
  return state;
}

std::shared_ptr<const data::Tokenizer> saved_tokenizer(const Checkpoint& checkpoint) {
  if (!checkpoint.state().contains("tokenizer")) {
    return nullptr;
  }
  std::shared_ptr<const data::Tokenizer> tokenizer =
      data::load_tokenizer(saved_text(checkpoint, "tokenizer"), checkpoint.path().string());
  const std::int64_t vocab = saved_vocab(checkpoint);
  require<DataError>(tokenizer->vocab_size() <= vocab,
                     "[checkpoint] {}: tokenizer: expected at most the model's {} tokens, got {}",
                     checkpoint.path().string(), vocab, tokenizer->vocab_size());
  return tokenizer;
}

std::int64_t saved_vocab(const Checkpoint& checkpoint) {
  const std::int64_t vocab = saved_integer(checkpoint, "vocab", 1, kMostVocab);
  const StoredTensor& table = checkpoint.tensor("transformer.wte.weight");
  require<DataError>(table.shape.size() == 2 && table.shape.front() == vocab,
                     "[checkpoint] {}: state \"vocab\": expected the rows of {} {}, got {}", checkpoint.path().string(),
                     table.name, format_shape(table.shape), vocab);
  return vocab;
}

std::optional<Checkpoint> find_checkpoint(const Config& config, std::vector<std::filesystem::path>* not_whole) {
  return config.train.resume == "never" ? std::nullopt : find_trained(config, not_whole);
}

std::optional<Checkpoint> find_trained(const Config& config, std::vector<std::filesystem::path>* not_whole) {
  if (config.train.resume != "auto" && config.train.resume != "never") {
    return Checkpoint(config.train.resume);
  }
  LatestCheckpoint latest = open_latest_checkpoint(checkpoint_directory(config));
  for (const std::string& warning : latest.warnings) {
    print_warning(warning);
  }
  if (not_whole != nullptr) {
    *not_whole = std::move(latest.not_whole);
  }
  return std::move(latest.checkpoint);
}

}  // namespace retape::trainer
