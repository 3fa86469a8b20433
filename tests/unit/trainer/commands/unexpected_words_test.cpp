#include "trainer/commands/unexpected_words.h"

#include <gtest/gtest.h>

namespace retape::trainer {
namespace {

std::string unexpected(std::string_view word) {
  return unexpected_word(word, {"train", "eval", "sample"}, {"--config", "--set"});
}

TEST(UnexpectedWords, SayWhatWasMeant) {
  EXPECT_EQ(unexpected("gpt.toml"), "gpt.toml: no command; did you mean --config gpt.toml?");
  EXPECT_EQ(unexpected("model.dim=64"), "model.dim=64: no command; did you mean --set model.dim=64?");
  EXPECT_EQ(unexpected("help"), "help: no command; did you mean --help?");
  EXPECT_EQ(unexpected("smaple"), "smaple: unknown command; did you mean \"sample\"?");
  EXPECT_EQ(unexpected("--confg"), "--confg: unknown option; did you mean \"--config\"?");
  EXPECT_EQ(unexpected("--confg=gpt.toml"), "--confg=gpt.toml: unknown option; did you mean \"--config\"?");
}

TEST(UnexpectedWords, SayWhatThereIs) {
  EXPECT_EQ(unexpected("fly"), "fly: unknown command; the names are train, eval, sample");
  EXPECT_EQ(unexpected("--quietly"), "--quietly: unknown option; the names are --config, --set");
}

}  // namespace
}  // namespace retape::trainer
