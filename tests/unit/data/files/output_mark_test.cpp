#include "data/files/output_mark.h"

#include <gmock/gmock.h>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(OutputMark, InJsonIsAKeyOfItsOwn) {
  const TempDir dir;
  EXPECT_TRUE(has_json_mark(dir.write("a", R"({"retape": "prepare", "x": 1})"), "prepare"));
  for (const char* other : {R"({"retape": "study"})", R"({"retape": 1})", R"(["retape"])", R"("retape")", "", "{",
                            R"({"retape_tokenizer": 1})"}) {
    EXPECT_FALSE(has_json_mark(dir.write("b", other), "prepare")) << other;
  }
  EXPECT_FALSE(has_json_mark(dir / "none", "prepare"));
  EXPECT_FALSE(has_json_mark(dir.path(), "prepare"));
}

TEST(OutputMark, BesideAFileIsOfThatFileAlone) {
  const TempDir dir;
  for (const std::size_t length : {std::size_t{0}, std::size_t{5}, std::size_t{1} << 20, (std::size_t{1} << 20) + 1}) {
    const std::string text(length, 'a');
    const std::filesystem::path file = dir.write("tokens.bin", text);
    EXPECT_EQ(mark_beside(file), dir / "tokens.bin.retape.json");
    const std::string mark = mark_text(file, "prepare");
    dir.write("tokens.bin.retape.json", mark);
    EXPECT_TRUE(has_mark_beside(file, "prepare"));
    EXPECT_FALSE(has_mark_beside(file, "study"));
    dir.write("tokens.bin", text + "a");
    EXPECT_FALSE(has_mark_beside(file, "prepare"));
    if (length > 0) {
      std::string changed = text;
      changed.back() = 'b';
      dir.write("tokens.bin", changed);
      EXPECT_FALSE(has_mark_beside(file, "prepare"));
    }
    dir.write("tokens.bin", text);
    dir.write("tokens.bin.retape.json", mark.substr(0, mark.size() / 2));
    EXPECT_FALSE(has_mark_beside(file, "prepare"));
    std::filesystem::remove(dir / "tokens.bin.retape.json");
    EXPECT_FALSE(has_mark_beside(file, "prepare"));
  }
}

TEST(OutputMark, LiesWhereALinkLeads) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "disk");
  std::filesystem::create_symlink("disk/tokens.bin", dir / "link");
  EXPECT_EQ(mark_beside(dir / "link"), dir / "disk/tokens.bin.retape.json") << "though it leads nowhere yet";
}

TEST(OutputRules, LetACommandReplaceWhatItWroteAndNoFileThatItReads) {
  const TempDir dir;
  const std::filesystem::path file = dir.write("file", "text");
  std::filesystem::create_hard_link(file, dir / "same");
  OutputRules rules{
      .place = "[study] output", .command = "study", .read = {dir / "none", dir / "other"}, .force = false};
  const auto own = [] { return true; };
  const auto foreign = [] { return false; };
  EXPECT_NO_THROW(require_replaceable(file, rules, own));
  EXPECT_NO_THROW(require_replaceable(dir / "none", rules, foreign));
  EXPECT_THAT([&] { require_replaceable(file, rules, foreign); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("[study] output: " + file.string()), HasSubstr("--force"))));
  rules.force = true;
  EXPECT_NO_THROW(require_replaceable(file, rules, foreign));
  rules.read.push_back(dir / "same");
  EXPECT_THAT([&] { require_replaceable(file, rules, own); }, ThrowsMessage<ConfigError>(HasSubstr("study reads")));
}

TEST(OutputRules, LeaveAFileAloneThatLiesWhereTheMarkWould) {
  const TempDir dir;
  const std::filesystem::path mine = dir.write("new.csv.retape.json", R"({"mine": true})");
  OutputRules rules{.place = "[study] output", .command = "study", .read = {}, .force = false};
  EXPECT_THAT([&] { require_replaceable_beside(dir / "new.csv", rules); },
              ThrowsMessage<DataError>(HasSubstr(mine.string() + " was not written by study")));
  rules.force = true;
  EXPECT_NO_THROW(require_replaceable_beside(dir / "new.csv", rules));
  rules.read.push_back(mine);
  EXPECT_THROW(require_replaceable_beside(dir / "new.csv", rules), ConfigError);
}

}  // namespace
}  // namespace retape::data
