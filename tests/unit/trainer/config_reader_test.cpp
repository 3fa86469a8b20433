#include "trainer/config_reader.h"

#include <gmock/gmock.h>

#include "tests/unit/trainer/config_case.h"

namespace retape::trainer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class ConfigReader : public ConfigCase {};

TEST_F(ConfigReader, NoFileAndNoOverrideGiveTheDefaults) {
  Config expected;
  expected.run.out_dir = "runs/gpt";
  EXPECT_EQ(set({}), expected);
  EXPECT_EQ(load(""), expected);
}

TEST_F(ConfigReader, ReadsEveryTypeOfValue) {
  const Config config = load(R"(
[run]
name = "small"
device = "meta"
memory_limit = "6GiB"
hash_gradients = true
sample_prompt = """Élan \
   é"""
[model]
layers = 3
dropout = 0.25
dtype = "bf16"
[data]
train = ["a.txt", "b/*.txt"]
val = "c.txt"
[optimizer]
betas = [0.8, 0.95]
grad_clip = 2
)");
  EXPECT_EQ(config.run.name, "small");
  EXPECT_EQ(config.run.out_dir, "runs/small");
  EXPECT_EQ(config.run.sample_prompt, "Élan é");
  EXPECT_EQ(config.run.device, DeviceChoice::meta);
  EXPECT_EQ(config.run.memory_limit, 6_GiB);
  EXPECT_TRUE(config.run.hash_gradients);
  EXPECT_EQ(config.model.layers, 3);
  EXPECT_EQ(config.model.dropout, 0.25);
  EXPECT_EQ(config.model.dtype, nn::DType::bf16);
  EXPECT_THAT(config.data.train, ElementsAre("a.txt", "b/*.txt"));
  EXPECT_THAT(config.data.val, ElementsAre("c.txt"));
  EXPECT_EQ(config.optimizer.betas, (std::array{0.8, 0.95}));
  EXPECT_EQ(config.optimizer.grad_clip, 2.0);  // an integer where a float is expected
  EXPECT_EQ(config.model.heads, Config().model.heads);
}

TEST_F(ConfigReader, AnOverrideWinsOverTheFileAndTheLastOneOverTheFirst) {
  const Config config = load("[model]\nheads = 2\n", {"model.heads=4", "model.heads=8"});
  EXPECT_EQ(config.model.heads, 8);
}

TEST_F(ConfigReader, OverridesNeedNoQuotes) {
  const Config config =
      set({"data.train=/a/b.txt", "run.name=7", "run.out_dir=true", "run.memory_limit=1e9", "optimizer.lr=3e-4",
           "optimizer.betas=[0.5,0.75]", "run.log_gradients=true", "model.dtype=bf16", "run.sample_prompt=a = b # c",
           "data.val=[\"x.txt\", \"y.txt\"]", "model.init_from=é"});
  EXPECT_THAT(config.data.train, ElementsAre("/a/b.txt"));
  EXPECT_EQ(config.run.name, "7");
  EXPECT_EQ(config.run.out_dir, "true");
  EXPECT_EQ(config.run.memory_limit, 1'000'000'000);
  EXPECT_EQ(config.optimizer.lr, 3e-4);
  EXPECT_EQ(config.optimizer.betas, (std::array{0.5, 0.75}));
  EXPECT_TRUE(config.run.log_gradients);
  EXPECT_EQ(config.model.dtype, nn::DType::bf16);
  EXPECT_EQ(config.run.sample_prompt, "a = b # c");
  EXPECT_THAT(config.data.val, ElementsAre("x.txt", "y.txt"));
  EXPECT_EQ(config.model.init_from, "é");
}

TEST_F(ConfigReader, QuotedOverridesAreToml) {
  const Config config = set({"run.name=\"a b\"", "run.sample_prompt='\\n'", "run.memory_limit=\"2 MiB\""});
  EXPECT_EQ(config.run.name, "a b");
  EXPECT_EQ(config.run.sample_prompt, "\\n");
  EXPECT_EQ(config.run.memory_limit, 2_MiB);
}

TEST_F(ConfigReader, AnOverrideIsOneValue) {
  const Config config = set({"run.sample_prompt=1\n[model]\ndim = 6"});
  EXPECT_EQ(config.run.sample_prompt, "1\n[model]\ndim = 6");
  EXPECT_EQ(config.model.dim, Config().model.dim);
}

TEST_F(ConfigReader, UnknownNamesComeWithTheirPlaceAndTheNearestRightName) {
  EXPECT_EQ(refusal("[run]\nname = \"a\"\n\n[model]\n  leyers = 6\n"),
            "gpt.toml:5:3: unknown key \"leyers\" in [model]; did you mean \"layers\"?");
  EXPECT_EQ(refusal("[modle]\nlayers = 6\n"), "gpt.toml:1:2: unknown table \"modle\"; did you mean \"model\"?");
  EXPECT_EQ(refusal("[train]\nlr = 1e-3\n"),
            "gpt.toml:2:1: unknown key \"lr\" in [train]; did you mean \"optimizer.lr\"?");
  EXPECT_EQ(refusal("seed = 1\n"), "gpt.toml:1:1: \"seed\" stands outside of its table; did you mean \"run.seed\"?");
  EXPECT_EQ(refusal("[data]\nzzzzzz = 1\n"),
            "gpt.toml:2:1: unknown key \"zzzzzz\" in [data]; the names are train, val, val_fraction, format, "
            "tokenizer, order, allow_change");
  EXPECT_EQ(refusal("[run]\ndevice = \"gpu\"\n"),
            "gpt.toml:2:10: run.device: expected \"auto\", \"cpu\", \"cuda\" or \"meta\", got the string \"gpu\"; "
            "did you mean \"cpu\"?");
  EXPECT_EQ(refusal_of_set({"model.leyers=6"}),
            "--set model.leyers=6: unknown key \"leyers\" in [model]; did you mean \"layers\"?");
  EXPECT_EQ(refusal_of_set({"mdoel.layers=6"}),
            "--set mdoel.layers=6: unknown table \"mdoel\"; did you mean \"model\"?");
}

TEST_F(ConfigReader, WrongTypesSayWhatWasExpectedAndFound) {
  EXPECT_EQ(refusal("[model]\ndim = \"wide\"\n"),
            "gpt.toml:2:7: model.dim: expected an integer from 1 to 1048576, got the string \"wide\"");
  EXPECT_EQ(refusal("[train]\nsteps = 10.0\n"),
            "gpt.toml:2:9: train.steps: expected an integer from 1 to 1099511627776, got the number 10");
  EXPECT_THAT(refusal("[run]\nhash_gradients = 1\n"), HasSubstr("expected true or false, got the integer 1"));
  EXPECT_THAT(refusal("[run]\nname = 2024-01-01\n"), HasSubstr("run.name: expected a string, not empty, got a date"));
  EXPECT_THAT(refusal("[optimizer]\nlr = true\n"), HasSubstr("expected a number of at least 0, got true"));
  EXPECT_THAT(refusal("[optimizer]\nbetas = [0.9]\n"), HasSubstr("expected an array of two numbers"));
  EXPECT_THAT(refusal("[optimizer]\nbetas = [0.9, \"a\"]\n"), StartsWith("gpt.toml:2:15: optimizer.betas: expected"));
  EXPECT_THAT(refusal("[data]\ntrain = [\"a\", 1]\n"), StartsWith("gpt.toml:2:15: data.train: expected a string or"));
  EXPECT_THAT(refusal("[model.dim]\nx = 1\n"),
              HasSubstr("model.dim: expected an integer from 1 to 1048576, got a table"));
  EXPECT_EQ(refusal("run = 3\n"), "gpt.toml:1:7: run: expected a table, got the integer 3");
  EXPECT_THAT(refusal("[[run]]\nseed = 1\n"), HasSubstr("run: expected a table, got an array of 1"));
  EXPECT_EQ(refusal_of_set({"model.dim=wide"}),
            "--set model.dim=wide: model.dim: expected an integer from 1 to 1048576, got the string \"wide\"");
}

TEST_F(ConfigReader, ValuesOutOfRangeAreRefused) {
  const auto refused = [&](const std::string& setting) {
    EXPECT_THAT(refusal_of_set({setting}), StartsWith("--set " + setting + ": ")) << setting;
  };
  for (const char* setting : {"model.layers=0",
                              "model.dim=-4",
                              "model.dropout=1.0",
                              "model.dropout=-0.1",
                              "model.dropout=nan",
                              "data.val_fraction=1",
                              "train.steps=0",
                              "train.batch_size=0",
                              "train.keep_last=0",
                              "optimizer.lr=-1e-3",
                              "optimizer.lr=inf",
                              "optimizer.betas=[0.9, 1.0]",
                              "optimizer.betas=[-0.1, 0.9]",
                              "optimizer.eps=0",
                              "optimizer.weight_decay=-1",
                              "run.seed=-1",
                              "run.memory_limit=-1",
                              "run.memory_limit=6 gigs",
                              "run.memory_limit=1e20",
                              "run.memory_limit=9e99GiB",
                              "run.memory_limit=inf",
                              "run.memory_limit=0.5",
                              "run.memory_limit=",
                              "run.seed=99999999999999999999",
                              "run.seed=1.0",
                              "run.seed=1e3",
                              "train.steps=99999999999999999999",
                              "train.steps=0xFFFFFFFFFFFFFFFFFF",
                              "train.steps=",
                              "train.steps=nan",
                              "optimizer.lr=1e400",
                              "optimizer.lr=",
                              "optimizer.betas=[1e400, 0.1]",
                              "data.train=[\"a\\u0000b\"]",
                              "run.name=",
                              "train.resume=",
                              "data.train=",
                              "data.train=[\"\"]",
                              "parallel.tensor=0"}) {
    refused(setting);
  }
}

TEST_F(ConfigReader, InvalidTomlSaysWhere) {
  EXPECT_THAT(refusal("[run]\nseed = 99999999999999999999\n"), StartsWith("gpt.toml:2:"));
  EXPECT_THAT(refusal("[optimizer]\nlr = 1e400\n"), StartsWith("gpt.toml:2:"));
  EXPECT_THAT(refusal("[run]\nname = \"a\\u0000b\"\n"), StartsWith("gpt.toml:2:8: run.name: expected a string"));
  EXPECT_THAT(refusal("[run]\nname = \n"), StartsWith("gpt.toml:2:"));
  EXPECT_THAT(refusal("[run]\nseed = 1\nseed = 2\n"), StartsWith("gpt.toml:3:"));
  EXPECT_THAT(refusal("[run]\nname = \"\xff\"\n"), StartsWith("gpt.toml:2:"));
  EXPECT_THAT(refusal("# é\n[run] é\n"), StartsWith("gpt.toml:2:7: not valid TOML: "));
  EXPECT_THAT(refusal("[(run]\n"), StartsWith("gpt.toml:1:2: not valid TOML: "));
  for (const char* header : {"[!x]\n", "[é]\n", "[ [run]]\n", "[]\n", "[run.]\n", "[.run]\n", "[", "[[", "[run"}) {
    EXPECT_THAT(refusal(header), StartsWith("gpt.toml:1:")) << header;
  }
  EXPECT_THAT(refusal(std::string_view("[run]\n\0\n", 8)), StartsWith("gpt.toml:2:"));
}

TEST_F(ConfigReader, FilesThatCannotBeReadAreNamed) {
  EXPECT_EQ(refusal_of(folder() / "absent.toml"),
            "absent.toml: cannot read the configuration: No such file or directory");
  std::filesystem::create_directory(folder() / "a_folder");
  EXPECT_EQ(refusal_of(folder() / "a_folder"), "a_folder: cannot read the configuration: Is a directory");
  EXPECT_EQ(refusal(std::string(100'000, '#')),
            "gpt.toml: expected a configuration of at most 64.0 KiB, got a larger file");
}

TEST_F(ConfigReader, OverridesThatAreNoneAreRefused) {
  for (const char* setting : {"", "=", "model", "model.dim", "dim=4", "a=b.c"}) {
    EXPECT_EQ(refusal_of_set({setting}), std::string("--set ") + setting + ": expected table.key=value");
  }
  EXPECT_THAT(refusal_of_set({"run.name=\xff"}), HasSubstr("expected a value in UTF-8"));
  EXPECT_THAT(refusal_of_set({"model.dim=a\nb"}), StartsWith("--set model.dim=a\\x0ab: "));
  EXPECT_THAT(refusal_of_set({"model.dim.x=1"}), HasSubstr("unknown key \"dim.x\" in [model]"));
}

// Whatever the bytes, the answer is a configuration or a ConfigError.
TEST_F(ConfigReader, DamagedFilesAreNeverWorseThanAnError) {
  const std::string whole =
      "[run]\nname = \"a\\tb\" # c\n[data]\ntrain = [\"a\", 'b']\n[optimizer]\nbetas = [0.9, 1e-2]\n";
  std::uint32_t state = 1;
  const auto next = [&](std::size_t below) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8) % below;
  };
  for (int round = 0; round < 2000; ++round) {
    std::string text = whole;
    for (std::size_t i = 0; i < 1 + next(4); ++i) {
      text[next(text.size())] = static_cast<char>(next(256));
    }
    text.resize(next(text.size() + 1));
    try {
      load(text);
    } catch (const ConfigError& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    }
  }
}

TEST_F(ConfigReader, DeepNestingIsRefused) {
  std::string dotted = "a";
  while (dotted.size() < 20'000) {
    dotted += ".a";
  }
  EXPECT_FALSE(refusal(dotted + " = 1\n").empty());
  EXPECT_FALSE(refusal("a = " + std::string(20'000, '[')).empty());
  EXPECT_FALSE(refusal_of_set({"run.seed={" + dotted + " = 1}"}).empty());
}

TEST_F(ConfigReader, NestingEndsBeforeTheStackDoes) {
  std::string key = "a";
  while (key.size() < 60'000) {
    key += ".a";
  }
  EXPECT_EQ(refusal("\n" + key + " = 1\n"), "gpt.toml:2: expected keys of at most 8 names, got more");
  EXPECT_THAT(refusal("x = " + std::string(60'000, '[')), HasSubstr("not valid TOML"));
  EXPECT_THAT(refusal_of_set({"run.seed={" + key + "=1}"}), HasSubstr("run.seed: expected an integer"));
}

}  // namespace
}  // namespace retape::trainer
