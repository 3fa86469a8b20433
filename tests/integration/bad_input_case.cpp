#include "tests/integration/bad_input_case.h"

#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

constexpr std::size_t kLongestError = sizeof "error: \n" + 999;

}  // namespace

std::map<std::string, std::string> contents_of(const std::filesystem::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().filename() != ".retape.lock") {
      files[entry.path().string()] = bytes_of(entry.path());
    }
  }
  return files;
}

BadInput::BadInput() {
  train("run", {"train.steps=4", "train.save_every=2", "optimizer.schedule=constant"});
  before_ = contents_of(out_dir("run"));
}

void BadInput::expect_refusal(const std::vector<std::string>& words, const std::vector<std::string>& texts,
                              const Surroundings& surroundings) const {
  const Exit exit = run_trainer(words, surroundings);
  SCOPED_TRACE(exit.err);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_GT(exit.status, 0);
  EXPECT_EQ(lines_of(exit.err).size(), 1U);
  EXPECT_THAT(exit.err, testing::StartsWith("error: "));
  EXPECT_LE(exit.err.size(), kLongestError);
  for (const std::string& text : texts) {
    EXPECT_THAT(exit.err, testing::HasSubstr(text));
  }
  EXPECT_TRUE(contents_of(out_dir("run")) == before_) << "the run's folder has changed";
}

void BadInput::expect_refusal_of(const Settings& more, const std::vector<std::string>& texts) const {
  expect_refusal(arguments("", resumed() + more), texts);
}

void BadInput::expect_refusal_of_start(const Settings& more, const std::vector<std::string>& texts) const {
  expect_refusal(arguments("", settings("new") + more), texts);
  EXPECT_THAT(trainer::list_checkpoints(checkpoints("new")), testing::IsEmpty());
}

void BadInput::expect_refusal_of_start_and_plan(const Settings& more, const std::vector<std::string>& texts) const {
  expect_refusal_of_start(more, texts);
  expect_refusal(arguments("plan", settings("new") + more), texts);
}

std::string BadInput::newest() const {
  return trainer::list_checkpoints(checkpoints("run")).front().path.string();
}

}  // namespace retape::integration
