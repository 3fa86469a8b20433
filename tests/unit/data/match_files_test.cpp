#include "data/match_files.h"

#include <gmock/gmock.h>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

std::vector<std::filesystem::path> match(const TempDir& dir, std::string_view pattern) {
  return match_files((dir / pattern).string());
}

TEST(MatchFiles, SortsTheMatchesByTheirBytes) {
  const TempDir dir;
  for (const char* name : {"b.txt", "B.txt", "a.txt", "a_10.txt", "a_2.txt", "c.md"}) {
    dir.write(name, "x");
  }
  EXPECT_THAT(match(dir, "*.txt"),
              ElementsAre(dir / "B.txt", dir / "a.txt", dir / "a_10.txt", dir / "a_2.txt", dir / "b.txt"));
  EXPECT_THAT(match(dir, "[ab].txt"), ElementsAre(dir / "a.txt", dir / "b.txt"));
}

TEST(MatchFiles, TakesAlternativesOnceAndPassesFoldersOver) {
  const TempDir dir;
  dir.write("read.md", "x");
  dir.write("src/a.h", "x");
  dir.write("src/deep/b.h", "x");
  EXPECT_THAT(match(dir, "{*.md,src/*,src/a.h,src/*/*}"),
              ElementsAre(dir / "read.md", dir / "src/a.h", dir / "src/deep/b.h"));
}

TEST(MatchFiles, RefusesPatternsBeyondAllPaths) {
  const TempDir dir;
  const auto refusal = [&](const std::string& pattern) { return [&dir, pattern] { match(dir, pattern); }; };
  const auto expected = ThrowsMessage<DataError>(HasSubstr("expected a pattern of at most 4095 bytes and 256 folders"));
  EXPECT_THAT(refusal(std::string(5000, '*')), expected);
  std::string folders;
  for (int i = 0; i < 1000; ++i) {
    folders += "*/";
  }
  EXPECT_THAT(refusal(folders), expected);
  EXPECT_THAT(refusal(folders.substr(0, 400) + "x"), ThrowsMessage<DataError>(HasSubstr("no file matches")));
}

TEST(MatchFiles, TakesAPathThatExistsAsItIs) {
  const TempDir dir;
  dir.write("a[1]*.txt", "x");
  dir.write("a1.txt", "x");
  EXPECT_THAT(match(dir, "a[1]*.txt"), ElementsAre(dir / "a[1]*.txt"));
}

TEST(MatchFiles, KeepsTheOrderOfSeveralPatterns) {
  const TempDir dir;
  for (const char* name : {"a", "b", "c"}) {
    dir.write(name, "x");
  }
  const std::vector<std::string> patterns{(dir / "c").string(), (dir / "[ab]").string()};
  EXPECT_THAT(match_files(patterns), ElementsAre(dir / "c", dir / "a", dir / "b"));
}

TEST(MatchFiles, NamesThePatternThatMatchesNothing) {
  const TempDir dir;
  std::filesystem::create_directory(dir / "folder.bin");
  EXPECT_THAT([&] { match(dir, "*.bin"); }, ThrowsMessage<DataError>(HasSubstr("*.bin: no file matches")));
  EXPECT_THAT([&] { match(dir, "train.bin"); }, ThrowsMessage<DataError>(HasSubstr("train.bin: no such file")));
  EXPECT_THROW(match_files(""), DataError);
}

}  // namespace
}  // namespace retape::data
