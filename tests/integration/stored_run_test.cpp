// A run that an earlier program saved goes on with the same bits.
//
// stored_run/ is what the program of version 0.1 left of 12 steps that were killed between the save after the sixth and
// that after the last: its folder with settings, lock, metrics and checkpoint, and the text that it trained on.
#include "tests/integration/training_case.h"
#include "trainer/config_loader.h"
#include "trainer/opened_run.h"
#include "trainer/run_state.h"

namespace retape::integration {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::int64_t kSavedStep = 6;

class StoredRun : public TrainingCase {
 protected:
  StoredRun() { std::filesystem::copy(RETAPE_STORED_RUN, path("stored"), std::filesystem::copy_options::recursive); }

  // The file of the run's settings, and where its copy lies.
  Settings moved() const {
    return {"run.out_dir=" + out_dir(kRun).string(), "data.train=" + path("stored/text.txt").string()};
  }
  std::string settings_file() const { return (out_dir(kRun) / "config.toml").string(); }

  static constexpr const char* kRun = "stored/run";
};

// On every processor: nothing is computed between reading and writing.
TEST_F(StoredRun, ComesBackWithEveryBit) {
  const CheckpointContents stored = newest_checkpoint(kRun);
  const trainer::Config config = trainer::load_config(settings_file(), moved());
  const std::optional<trainer::Checkpoint> checkpoint = trainer::find_checkpoint(config);
  ASSERT_TRUE(checkpoint.has_value());
  const data::Dataset dataset = trainer::open_data(config, checkpoint);
  const std::unique_ptr<nn::Device> device = trainer::open_device(config);
  trainer::Learner learner(*device, config, dataset.vocab);
  trainer::load_weights(config, checkpoint, learner);
  const data::Sampler sampler = trainer::open_sampler(config, dataset, checkpoint);
  trainer::save_run(checkpoints("again"), trainer::saved_position(*checkpoint), config, learner, sampler, dataset);

  const CheckpointContents again = newest_checkpoint("again");
  EXPECT_EQ(again.at("step"), std::to_string(kSavedStep));
  for (const auto& [name, bytes] : stored) {
    ASSERT_TRUE(again.contains(name)) << name;
    EXPECT_TRUE(again.at(name) == bytes) << name << " differs";
  }
}

// Another processor rounds otherwise, so the losses that were written then are met within a little.
TEST_F(StoredRun, GoesOnAsItWouldHave) {
  const std::vector<std::string> lines = lines_of(bytes_of(out_dir(kRun) / "metrics.jsonl"));
  const Exit exit = run_trainer(arguments("", moved(), {"--config", settings_file()}));
  ASSERT_TRUE(exit.ok()) << exit.err;
  EXPECT_THAT(exit.err, IsEmpty());
  EXPECT_THAT(exit.out, HasSubstr("goes on after step 6 of 12"));
  EXPECT_THAT(lines_of(exit.out), Contains(HasSubstr("does not say what tokens it was trained on")));

  const std::vector<std::string> found = lines_of(bytes_of(out_dir(kRun) / "metrics.jsonl"));
  ASSERT_EQ(found.size(), lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    SCOPED_TRACE(lines[i]);
    const json expected = json::parse(lines[i]);
    const json row = json::parse(found[i]);
    EXPECT_EQ(row.at("step"), expected.at("step"));
    if (expected.at("step") < kSavedStep) {
      EXPECT_EQ(found[i], lines[i]) << "a row that was there";
    }
    const char* loss = expected.contains("loss") ? "loss" : "val_loss";
    constexpr double kRounding = 1e-5;
    EXPECT_NEAR(row.at(loss).get<double>(), expected.at(loss).get<double>(), kRounding);
    for (const char* exact : {"lr", "tokens"}) {
      EXPECT_EQ(row.contains(exact) ? row[exact] : json(), expected.contains(exact) ? expected[exact] : json());
    }
  }
}

// What is said of a checkpoint that has made room names it where it lies now.
TEST_F(StoredRun, IsNamedWhereItWasMoved) {
  const std::filesystem::path stored = trainer::list_checkpoints(checkpoints(kRun)).front().path;
  std::filesystem::copy_file(stored, stored.parent_path() / "save-000002-step-00000006.safetensors");
  const Exit exit = run_trainer(arguments("", moved() + Settings{"train.resume=" + stored.string(), "train.steps=7"},
                                          {"--config", settings_file()}));
  ASSERT_TRUE(exit.ok()) << exit.err;
  const std::string now = (out_dir(kRun) / "before-1/checkpoints" / stored.filename()).string();
  EXPECT_THAT(lines_of(exit.out), Contains(HasSubstr(now + " does not say what tokens it was trained on")));
}

}  // namespace
}  // namespace retape::integration
