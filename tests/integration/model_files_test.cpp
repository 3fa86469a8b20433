// From text to tokens to a model to text again, and weights out to safetensors and in.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "tests/integration/training_case.h"
#include "tests/support/tensor_contents.h"
#include "trainer/safetensors.h"

namespace retape::integration {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;
using trainer::NamedBytes;
using trainer::StoredTensor;

using Preparing = TrainingCase;

TEST_F(Preparing, TrainsAndSamplesLikeTheText) {
  for (const std::string format : {"u16", "llmc"}) {
    const std::string tokens = path(format + ".bin").string();
    const Exit prepared =
        run_trainer({"prepare", "--input", path("text.txt").string(), "--output", tokens, "--format", format});
    ASSERT_TRUE(prepared.ok()) << prepared.err;
    EXPECT_THAT(prepared.out, HasSubstr("6000 tokens of 1 files, vocabulary 22"));
    EXPECT_TRUE(std::filesystem::exists(path(format + ".tokenizer.json")));
    train(format, {"data.train=" + tokens});
  }
  train("text", {"data.tokenizer=char"});
  expect_same_bits("text", "u16");
  expect_same_bits("text", "llmc");

  const std::string text = bytes_of(path("text.txt"));
  const std::vector<std::string> options{"--prompt", "abc", "--tokens", "40", "--seed", "3"};
  const Exit sampled = run_trainer(arguments("sample", settings("u16"), options));
  ASSERT_TRUE(sampled.ok()) << sampled.err;
  EXPECT_THAT(sampled.out, StartsWith("abc"));
  EXPECT_EQ(sampled.out.size(), 3U + 40U + 1U);
  EXPECT_EQ(sampled.out.find_first_not_of(text), std::string::npos);
  EXPECT_EQ(run_trainer(arguments("sample", settings("text"), options)).out, sampled.out);
}

// Of 64 rows of the token table the tokenizer knows 22; a model that has hardly learnt would draw the others.
TEST_F(Preparing, SamplesOnlyWhatTheTokenizerKnows) {
  const Settings padded{"data.tokenizer=char", "model.vocab=64", "run.sample_tokens=60", "run.sample_prompt=abc"};
  train("padded", padded);
  const Exit sampled = run_trainer(
      arguments("sample", settings("padded") + padded, {"--prompt", "abc", "--tokens", "60", "--temperature", "5"}));
  ASSERT_TRUE(sampled.ok()) << sampled.err;
  EXPECT_EQ(sampled.out.size(), 3U + 60U + 1U);
}

TEST_F(Preparing, LeavesNothingWhereTheDiskIsFull) {
  const Exit refused =
      run_trainer({"prepare", "--input", path("text.txt").string(), "--output", path("tokens.bin").string()},
                  {.largest_file = 1000});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("tokens.bin: cannot write"));
  EXPECT_EQ(folder().files(), 1U);  // the text
}

// Each stays open.
TEST_F(Preparing, OfManyFilesIsNoTrouble) {
  for (int i = 0; i < 40; ++i) {
    folder().write("part" + std::to_string(i) + ".bin", std::vector<std::uint16_t>(20, static_cast<std::uint16_t>(i)));
  }
  const Settings many{"data.train=" + path("part*.bin").string(), "model.vocab=40", "train.steps=1"};
  const Exit exit = run_trainer(arguments("", settings("many") + many), {.open_files = 24});
  EXPECT_TRUE(exit.ok()) << exit.err;
}

using Evaluating = TrainingCase;

TEST_F(Evaluating, GivesTheLossOfTheLastRow) {
  train("run");
  const double logged = metrics("run").back().at("val_loss").get<double>();
  const Exit evaluated = run_trainer(arguments("eval", settings("run")));
  ASSERT_TRUE(evaluated.ok()) << evaluated.err;
  EXPECT_EQ(evaluated.out, fmt::format("validation loss {:.4f} after step 8\n", logged));
}

TEST_F(Evaluating, SaysWhoseWeightsItTakes) {
  train("run");
  const std::string file = path("weights.safetensors").string();
  ASSERT_TRUE(run_trainer(arguments("export", settings("run"), {"--output", file})).ok());
  const Exit own = run_trainer(arguments("eval", settings("run")));
  EXPECT_EQ(own.err, "");

  const Settings both = settings("run") + Settings{"model.init_from=" + file};
  const auto says_which =
      AllOf(StartsWith("warning: takes the weights of " + checkpoints("run").string()), HasSubstr(file));
  const Exit evaluated = run_trainer(arguments("eval", both));
  EXPECT_EQ(evaluated.out, own.out);
  EXPECT_THAT(evaluated.err, says_which);
  EXPECT_EQ(lines_of(evaluated.err).size(), 1U);
  const Exit exported = run_trainer(arguments("export", both, {"--output", path("again").string()}));
  EXPECT_TRUE(exported.ok());
  EXPECT_THAT(exported.err, says_which);

  const Exit imported = run_trainer(arguments("eval", both + Settings{"run.out_dir=" + path("none").string()}));
  EXPECT_EQ(imported.err, "");
  EXPECT_EQ(imported.out, own.out.substr(0, own.out.find(" after")) + "\n");
}

// --- Weights -------------------------------------------------------------------------------------------------------

// Tensors that own their bytes, on the way into a file.
class TensorList {
 public:
  void add(std::string name, std::string dtype, std::vector<std::int64_t> shape, std::string bytes) {
    bytes_.push_back(std::make_unique<std::string>(std::move(bytes)));
    tensors_.push_back({std::move(name), std::move(dtype), std::move(shape), std::as_bytes(std::span(*bytes_.back()))});
  }
  template <class T>
  void add(std::string name, std::string dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
    add(std::move(name), std::move(dtype), std::move(shape),
        std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)));
  }
  void write(const std::filesystem::path& path) const { write_safetensors(path, tensors_); }

 private:
  std::vector<std::unique_ptr<std::string>> bytes_;
  std::vector<NamedBytes> tensors_;
};

// The tensors under names without "transformer.".
TensorList without_prefix(const trainer::SafetensorsFile& file) {
  TensorList bare;
  for (const StoredTensor& tensor : file.tensors()) {
    bare.add(tensor.name.substr(std::string_view("transformer.").size()), tensor.dtype, tensor.shape,
             contents_of(file, tensor));
  }
  return bare;
}

std::vector<float> floats_of(const trainer::SafetensorsFile& file, const StoredTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.bytes) / sizeof(float));
  file.read(tensor, 0, std::as_writable_bytes(std::span(values)));
  return values;
}

class Weights : public TrainingCase {
 protected:
  static constexpr std::int64_t kTokens = 4 * 16 + 1;  // a batch, so that all steps train on the same tokens

  Weights() {
    std::vector<std::uint16_t> tokens;
    for (std::int64_t i = 0; i < kTokens; ++i) {
      tokens.push_back(static_cast<std::uint16_t>(i * i % 29));
    }
    folder().write("tokens.bin", tokens);
  }

  Settings one_batch(const std::string& run) const {
    return settings(run) + Settings{"data.train=" + path("tokens.bin").string(),
                                    "data.val_fraction=0",
                                    "data.order=sequential",
                                    "model.vocab=29",
                                    "model.dropout=0",
                                    "train.eval_every=0",
                                    "optimizer.schedule=constant"};
  }

  void train_batch(const std::string& run, const Settings& more = {}) const {
    const Exit exit = run_trainer(arguments("", one_batch(run) + more));
    ASSERT_TRUE(exit.ok()) << exit.err;
  }

  // The weights of some steps, as the program exports them.
  std::filesystem::path exported(const Settings& more = {}) const {
    train_batch("exported", more + Settings{"train.steps=3"});
    std::filesystem::path file = path("weights.safetensors");
    const Exit exit = run_trainer(arguments("export", one_batch("exported") + more, {"--output", file.string()}));
    EXPECT_TRUE(exit.ok()) << exit.err;
    return file;
  }

  // The first row of a run that starts from a file.
  nlohmann::json first_row(const std::string& run, const std::filesystem::path& file, const Settings& more = {}) const {
    train_batch(run, Settings{"model.init_from=" + file.string(), "train.steps=1"} + more);
    return metrics(run).front();
  }

  // What must be equal where the weights are.
  void expect_same_step(const nlohmann::json& expected, const nlohmann::json& found) const {
    for (const char* key : {"loss", "grad_norm", "grad_hash"}) {
      EXPECT_EQ(expected.at(key), found.at(key)) << key;
    }
  }
};

TEST_F(Weights, ComeBackBitForBit) {
  for (const std::string tied : {"true", "false"}) {
    const Settings model{"model.tie_embeddings=" + tied};
    const std::filesystem::path file = exported(model);
    const nlohmann::json row = first_row("imported_" + tied, file, model);
    train_batch("exported", model + Settings{"train.steps=4"});
    const nlohmann::json next = metrics("exported").back();
    EXPECT_EQ(next.at("step"), 3);
    expect_same_step(next, row);
    std::filesystem::remove_all(out_dir("exported"));
  }
}

TEST_F(Weights, HaveHuggingFaceNamesAndShapes) {
  const trainer::SafetensorsFile file(exported());
  EXPECT_EQ(file.tensors().size(), 2 + 2 * 12 + 2U);
  EXPECT_EQ(file.tensor("transformer.wte.weight").shape, (std::vector<std::int64_t>{29, 32}));
  EXPECT_EQ(file.tensor("transformer.wpe.weight").shape, (std::vector<std::int64_t>{16, 32}));
  EXPECT_EQ(file.tensor("transformer.h.1.attn.c_attn.weight").shape, (std::vector<std::int64_t>{32, 96}));
  EXPECT_EQ(file.tensor("transformer.h.0.mlp.c_proj.weight").shape, (std::vector<std::int64_t>{128, 32}));
  EXPECT_EQ(file.tensor("transformer.ln_f.bias").dtype, "F32");
}

TEST_F(Weights, AreAcceptedInTheFormsThatFilesHave) {
  const std::filesystem::path file = exported();
  const trainer::SafetensorsFile original(file);
  TensorList bare = without_prefix(original);
  const StoredTensor& table = original.tensor("transformer.wte.weight");
  bare.add("lm_head.weight", "F32", table.shape, contents_of(original, table));
  bare.add("h.0.attn.bias", "F32", {1, 1, 16, 16}, std::vector<float>(256, 1));
  bare.add("h.1.attn.bias", "U8", {1, 1, 16, 16}, std::vector<std::uint8_t>(256, 1));
  bare.add("h.1.attn.masked_bias", "F32", {}, std::vector<float>{-1e4F});
  bare.write(path("bare.safetensors"));
  expect_same_step(first_row("full", file), first_row("bare", path("bare.safetensors")));
}

TEST_F(Weights, OfAHeadOfItsOwnAreNotTakenForTiedOnes) {
  const trainer::SafetensorsFile original(exported());
  const StoredTensor& table = original.tensor("transformer.wte.weight");
  const std::filesystem::path file = path("head.safetensors");
  const Settings start{"model.init_from=" + file.string(), "train.steps=1"};
  const auto write_with_head = [&](const std::vector<std::int64_t>& shape, const std::vector<float>& head) {
    TensorList tensors;
    for (const StoredTensor& tensor : original.tensors()) {
      tensors.add(tensor.name, tensor.dtype, tensor.shape, contents_of(original, tensor));
    }
    tensors.add("lm_head.weight", "F32", shape, head);
    tensors.write(file);
  };
  const auto expect_refused = [&] {
    const Exit exit = run_trainer(arguments("", one_batch("headed") + start));
    EXPECT_EQ(exit.status, 1);
    EXPECT_THAT(exit.err, AllOf(HasSubstr("lm_head.weight"), HasSubstr("model.tie_embeddings=false")));
    EXPECT_EQ(lines_of(exit.err).size(), 1U) << exit.err;
  };
  write_with_head({32, 29}, floats_of(original, table));
  expect_refused();
  std::vector<float> head = floats_of(original, table);
  head.back() += 1;
  write_with_head(table.shape, head);
  expect_refused();
  train_batch("headed", start + Settings{"model.tie_embeddings=false"});
}

TEST_F(Weights, StateTheirVocabulary) {
  const std::filesystem::path file = exported();
  const std::filesystem::path bare = path("bare.safetensors");
  without_prefix(trainer::SafetensorsFile(file)).write(bare);
  const std::filesystem::path copy = path("copy.safetensors");
  const auto export_from = [&](const std::filesystem::path& source) {
    return run_trainer(arguments("export", settings("nowhere") + Settings{"model.init_from=" + source.string()},
                                 {"--output", copy.string()}));
  };
  for (const std::filesystem::path& source : {file, bare}) {
    const Exit exit = export_from(source);
    EXPECT_TRUE(exit.ok()) << exit.err;
    EXPECT_TRUE(bytes_of(copy) == bytes_of(file)) << source;
    std::filesystem::remove(copy);
  }
  TensorList other;
  other.add("x", "F32", {1}, std::vector<float>{1});
  other.write(bare);
  EXPECT_THAT(export_from(bare).err,
              HasSubstr("bare.safetensors: expected a tensor transformer.wte.weight, found none"));
}

// A sample is a training's: to evaluate on tokens that nothing can decode is no mistake.
TEST_F(Weights, AreEvaluatedWithoutATokenizer) {
  exported();
  const Settings data{"data.val=" + path("tokens.bin").string(), "run.sample_tokens=5"};
  const Exit exit = run_trainer(arguments("eval", one_batch("exported") + data));
  EXPECT_TRUE(exit.ok()) << exit.err;
}

TEST_F(Weights, OfMorePositionsThanTheModelHasGiveItTheFirst) {
  const std::filesystem::path file = exported();
  const trainer::SafetensorsFile original(file);
  TensorList longer;
  for (const StoredTensor& tensor : original.tensors()) {
    std::vector<float> values = floats_of(original, tensor);
    std::vector<std::int64_t> shape = tensor.shape;
    if (tensor.name.ends_with("wpe.weight")) {
      shape[0] += 5;
      values.resize(static_cast<std::size_t>(shape[0] * shape[1]), 7.0F);
    }
    longer.add(tensor.name, "F32", shape, values);
  }
  longer.write(path("longer.safetensors"));
  expect_same_step(first_row("full", file), first_row("longer", path("longer.safetensors")));
}

// Each weight is rounded to 16 bits: once as those bits, once as the F32 that they stand for.
struct Rounded {
  std::uint16_t bits;
  float value;
};

Rounded to_bfloat(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  bits &= 0xffff0000U;
  std::memcpy(&value, &bits, sizeof value);
  return {static_cast<std::uint16_t>(bits >> 16), value};
}

Rounded to_half(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  int exponent = 0;
  const float magnitude = std::abs(value);
  std::frexp(magnitude, &exponent);
  // An ulp is 2^(exponent - 11), and below 2^-14, among the subnormal numbers, 2^-24.
  const int ulp = std::max(exponent - 11, -24);
  const auto units = static_cast<std::uint16_t>(std::ldexp(magnitude, -ulp));
  const int biased = ulp + 24;  // of a normal number, less the leading bit that units has
  return {static_cast<std::uint16_t>(sign | ((biased << 10) + units)),
          std::copysign(std::ldexp(static_cast<float>(units), ulp), value)};
}

TEST_F(Weights, AreAcceptedInSixteenBits) {
  const trainer::SafetensorsFile original(exported());
  for (const std::string dtype : {"BF16", "F16"}) {
    TensorList narrow;
    TensorList wide;
    for (const StoredTensor& tensor : original.tensors()) {
      std::vector<std::uint16_t> bits;
      std::vector<float> values;
      for (const float value : floats_of(original, tensor)) {
        const Rounded rounded = dtype == "F16" ? to_half(value) : to_bfloat(value);
        bits.push_back(rounded.bits);
        values.push_back(rounded.value);
      }
      narrow.add(tensor.name, dtype, tensor.shape, bits);
      wide.add(tensor.name, "F32", tensor.shape, values);
    }
    narrow.write(path(dtype + ".safetensors"));
    wide.write(path("wide_" + dtype + ".safetensors"));
    expect_same_step(first_row("wide_" + dtype, path("wide_" + dtype + ".safetensors")),
                     first_row(dtype, path(dtype + ".safetensors")));
  }
}

}  // namespace
}  // namespace retape::integration
