#include "data/prepare.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

#include "data/dataset.h"
#include "nn/base/error.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class PrepareTest : public testing::Test {
 protected:
  PrepareTest() {
    dir_.write("text/b.txt", "be");
    dir_.write("text/a.txt", "to be or not to ");
    config_.inputs = {(dir_ / "text/*.txt").string()};
    config_.output = dir_ / "corpus.bin";
  }

  TempDir dir_;
  PrepareConfig config_;
};

TEST_F(PrepareTest, WritesATokenFileThatTrainsLikeTheText) {
  for (const FileFormat format : {FileFormat::kU16, FileFormat::kLlmc}) {
    config_.format = format;
    const PrepareResult result = prepare(config_);
    EXPECT_EQ(result.files, 2);
    EXPECT_EQ(result.tokens, 18);
    EXPECT_EQ(result.vocab, 7);  // space b e n o r t
    EXPECT_EQ(result.tokenizer_output, dir_ / "corpus.tokenizer.json");

    DatasetConfig from_tokens;
    from_tokens.train = {config_.output.string()};
    from_tokens.val_fraction = 0;
    from_tokens.seq_len = 4;
    DatasetConfig from_text = from_tokens;
    from_text.train = config_.inputs;
    from_text.tokenizer = "char";
    const Dataset tokens = open_dataset(from_tokens);
    const Dataset text = open_dataset(from_text);
    EXPECT_EQ(tokens.vocab, text.vocab);
    std::vector<std::int32_t> ids(18);
    std::vector<std::int32_t> expected(18);
    tokens.train.copy(0, ids);
    text.train.copy(0, expected);
    EXPECT_EQ(ids, expected);
    EXPECT_EQ(tokens.tokenizer->decode(ids), "to be or not to be");
  }
}

TEST_F(PrepareTest, UsesATokenizerThatIsThere) {
  prepare(config_);
  config_.tokenizer = (dir_ / "corpus.tokenizer.json").string();
  config_.inputs = {(dir_ / "text/b.txt").string()};
  config_.output = dir_ / "val.bin";
  config_.tokenizer_output = dir_ / "val.json";
  EXPECT_EQ(prepare(config_).vocab, 7);
  EXPECT_EQ(dir_.read("val.bin"), std::string_view("\1\0\2\0", 4));
  EXPECT_EQ(dir_.read("val.json"), dir_.read("corpus.tokenizer.json"));
}

TEST_F(PrepareTest, AnErrorLeavesWhatWasThere) {
  prepare(config_);
  const std::string before = dir_.read("corpus.bin");
  dir_.write("text/c.txt", "\xFF");
  EXPECT_THAT([&] { prepare(config_); }, ThrowsMessage<DataError>(HasSubstr("c.txt: invalid UTF-8 at byte 0")));
  config_.inputs = {(dir_ / "text/b.txt").string()};
  config_.tokenizer_output = dir_ / "none/t.json";
  EXPECT_THROW(prepare(config_), DataError);
  EXPECT_EQ(dir_.read("corpus.bin"), before);
  EXPECT_EQ(dir_.files(), 4U);  // text, corpus.bin with its mark, its tokenizer
}

// Files of a process that may hold no more than the tokens or the tokenizer, so that the mark finds no room.
TEST_F(PrepareTest, AFullDiskLeavesWhatWasThere) {
  config_.tokenizer = "byte";
  prepare(config_);
  const std::vector<std::string> names{"corpus.bin", "corpus.tokenizer.json", "corpus.bin.retape.json"};
  std::vector<std::string> before;
  for (const std::string& name : names) {
    before.push_back(dir_.read(name));
  }
  const std::size_t most = std::max(before[0].size(), before[1].size());
  ASSERT_LT(most, before[2].size());
  for (const std::size_t limit : {std::size_t{10}, before[0].size(), most}) {
    {
      const FileSizeLimit full(limit);
      EXPECT_THAT([&] { prepare(config_); }, ThrowsMessage<DataError>(HasSubstr("File too large")));
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
      ASSERT_EQ(dir_.read(names[i]), before[i]) << names[i] << " with " << limit;
    }
    EXPECT_EQ(dir_.files(), 4U);
    PrepareConfig fresh = config_;
    fresh.output = dir_ / "new/corpus.bin";
    std::filesystem::create_directory(dir_ / "new");
    {
      const FileSizeLimit full(limit);
      EXPECT_THROW(prepare(fresh), DataError);
    }
    EXPECT_TRUE(std::filesystem::is_empty(dir_ / "new"));
    std::filesystem::remove(dir_ / "new");
  }
}

TEST_F(PrepareTest, LeavesTheTokenizerOfOtherTokensAlone) {
  config_.output = dir_ / "data.train";
  prepare(config_);
  const std::string first = dir_.read("data.tokenizer.json");
  PrepareConfig other = config_;
  other.output = dir_ / "data.val";
  EXPECT_NO_THROW(prepare(other)) << "the same letters";
  other.inputs = {dir_.write("other.txt", "xyz").string()};
  const auto refused = [](const char* owner) {
    return ThrowsMessage<DataError>(AllOf(HasSubstr("data.tokenizer.json is the tokenizer of "), HasSubstr(owner)));
  };
  EXPECT_THAT([&] { prepare(other); }, refused("data.train"));
  config_.inputs = other.inputs;
  EXPECT_THAT([&] { prepare(config_); }, refused("data.val"));
  EXPECT_EQ(dir_.read("data.tokenizer.json"), first);
  std::filesystem::remove(dir_ / "data.val");
  EXPECT_NO_THROW(prepare(config_)) << "the tokens of nobody else";
  other.inputs = {(dir_ / "text/*.txt").string()};
  EXPECT_THAT([&] { prepare(other); }, refused("data.train"));
  other.force = true;
  EXPECT_NO_THROW(prepare(other));
  EXPECT_EQ(dir_.read("data.tokenizer.json"), first);
}

TEST_F(PrepareTest, RefusesOutputsThatAreLinksToEachOther) {
  const auto expect_refused = [&] {
    EXPECT_THAT([&] { prepare(config_); }, ThrowsMessage<ConfigError>(HasSubstr("which are links to one")));
    EXPECT_FALSE(std::filesystem::exists(dir_ / "corpus.tokenizer.json"));
  };
  config_.force = true;
  std::filesystem::create_symlink("corpus.tokenizer.json", config_.output);
  expect_refused();
  std::filesystem::remove(config_.output);
  std::filesystem::create_symlink("corpus.bin", dir_ / "corpus.tokenizer.json");
  expect_refused();
  std::filesystem::remove(dir_ / "corpus.tokenizer.json");
  std::filesystem::create_directory_symlink(".", dir_ / "here");
  std::filesystem::create_symlink("here/corpus.tokenizer.json", config_.output);
  expect_refused();
  std::filesystem::remove(config_.output);
  std::filesystem::create_symlink("corpus.bin.retape.json", dir_ / "corpus.tokenizer.json");
  expect_refused();
}

TEST_F(PrepareTest, FollowsALinkToTheTokens) {
  dir_.write("disk/tokens.bin", "old!");
  std::filesystem::create_symlink(dir_ / "disk/tokens.bin", config_.output);
  EXPECT_THAT([&] { prepare(config_); }, ThrowsMessage<DataError>(HasSubstr("not written by prepare")));
  config_.force = true;
  EXPECT_EQ(prepare(config_).tokens, 18);
  EXPECT_TRUE(std::filesystem::is_symlink(config_.output));
  EXPECT_EQ(dir_.read("disk/tokens.bin").size(), 2 * 18U);
  config_.force = false;
  EXPECT_NO_THROW(prepare(config_));
}

using Texts = std::array<std::string, 2>;

// noexcept: an error of the child must end it, not walk up into its copy of the tests.
[[noreturn]] void prepare_in_turn(PrepareConfig config, const Texts& inputs) noexcept {
  for (std::size_t turn = 0;; ++turn) {
    config.inputs = {inputs.at(turn % inputs.size())};
    prepare(config);
  }
}

TEST_F(PrepareTest, KilledAtAnyMomentItLeavesNoTokensBesideAnotherVocabulary) {
  constexpr int kRounds = 100;
  const Texts texts{"to be or not to be", "a rose is a rose"};
  const Texts inputs{dir_.write("0.txt", texts[0]).string(), dir_.write("1.txt", texts[1]).string()};
  std::mt19937 random(1);
  for (int round = 0; round < kRounds; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      prepare_in_turn(config_, inputs);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 10'000));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    if (!std::filesystem::exists(config_.output)) {
      continue;
    }
    const Dataset data = open_dataset({.train = {config_.output.string()}, .val_fraction = 0, .seq_len = 4});
    std::vector<std::int32_t> ids(static_cast<std::size_t>(data.train.size()));
    data.train.copy(0, ids);
    EXPECT_THAT(texts, testing::Contains(data.tokenizer->decode(ids))) << "round " << round;
  }
}

TEST_F(PrepareTest, RefusesSettingsThatCannotBe) {
  const auto expect_error = [&](auto change) {
    PrepareConfig changed = config_;
    change(changed);
    EXPECT_THROW(prepare(changed), ConfigError);
  };
  expect_error([](PrepareConfig& c) { c.inputs.clear(); });
  expect_error([](PrepareConfig& c) { c.format = FileFormat::kText; });
  expect_error([](PrepareConfig& c) { c.tokenizer = "words"; });
  expect_error([&](PrepareConfig& c) { c.output = dir_ / "text/a.txt"; });
  EXPECT_EQ(dir_.read("text/a.txt"), "to be or not to ");
  config_.inputs = {(dir_ / "*.none").string()};
  EXPECT_THAT([&] { prepare(config_); }, ThrowsMessage<DataError>(HasSubstr("no file matches")));
}

}  // namespace
}  // namespace retape::data
