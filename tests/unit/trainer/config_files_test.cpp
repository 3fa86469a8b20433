// The files of configs/ are what the documentation says they are.
#include "tests/unit/trainer/config_case.h"
#include "trainer/config_writer.h"

namespace retape::trainer {
namespace {

class ConfigFiles : public ConfigCase {
 protected:
  static std::filesystem::path configs() { return RETAPE_CONFIGS; }
};

TEST_F(ConfigFiles, AllLoadAndSurviveBeingWritten) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(configs())) {
    if (entry.path().extension() == ".toml") {
      const Config config = load_config(entry.path());
      EXPECT_EQ(config.run.name, entry.path().stem());
      EXPECT_EQ(load(to_toml(config)), config) << entry.path();
      ++count;
    }
  }
  EXPECT_GE(count, 3);
}

TEST_F(ConfigFiles, TheEmbeddedDefaultRunsAsItIs) {
  const Config config = load_config(configs() / "gpt.toml");
  EXPECT_FALSE(config.data.train.empty());
  EXPECT_EQ(config.data.tokenizer, TokenizerChoice::byte);
  EXPECT_GT(config.run.sample_tokens, 0);
}

TEST_F(ConfigFiles, ShakespeareIsTheSmallRunOfNanoGpt) {
  const Config config = load_config(configs() / "shakespeare-char.toml");
  const Config::Model& model = config.model;
  EXPECT_EQ((std::array{model.layers, model.heads, model.dim, model.seq_len}),
            (std::array<std::int64_t, 4>{4, 4, 128, 64}));
  EXPECT_EQ(model.dropout, 0.0);
  EXPECT_EQ(config.data.tokenizer, TokenizerChoice::character);
  EXPECT_EQ(config.train.steps, 2000);
  EXPECT_EQ(config.train.batch_size, 12);
  EXPECT_EQ(config.train.eval_batches, 0);
  EXPECT_EQ(config.optimizer.schedule, ScheduleChoice::cosine);
  EXPECT_EQ(config.optimizer.lr, 1e-3);
  EXPECT_EQ(config.optimizer.min_lr, 1e-4);
  EXPECT_EQ(config.optimizer.warmup_steps, 100);
  EXPECT_EQ(config.optimizer.betas, (std::array{0.9, 0.99}));
  EXPECT_EQ(config.optimizer.weight_decay, 0.1);
  EXPECT_EQ(config.optimizer.grad_clip, 1.0);
}

TEST_F(ConfigFiles, Gpt2IsTheModelOf124MillionParameters) {
  const Config config = load_config(configs() / "gpt2-124m.toml");
  EXPECT_EQ(config.model.dim, 768);
  EXPECT_EQ(config.model.vocab, 50257);
  EXPECT_EQ(config.model.dtype, nn::DType::bf16);
}

}  // namespace
}  // namespace retape::trainer
