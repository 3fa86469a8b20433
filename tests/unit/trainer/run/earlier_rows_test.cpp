#include "trainer/run/earlier_rows.h"

#include <gmock/gmock.h>

#include "tests/support/temp_dir.h"

namespace retape::trainer {
namespace {

std::string step(int number, const char* more = "") {
  return fmt::format(R"({{"step": {}, "loss": 1.5{}}})", number, more) + "\n";
}

std::string evaluation(int number, const char* more = "") {
  return fmt::format(R"({{"step": {}, "val_loss": 1.5{}}})", number, more) + "\n";
}

constexpr const char* kResumed = R"(, "resumed": true)";

class EarlierRowsTest : public testing::Test {
 protected:
  EarlierRows read(const std::string& text, const RunPosition& position) const {
    return read_earlier_rows(dir_.write("metrics.jsonl", text), position);
  }

 private:
  TempDir dir_;
};

TEST_F(EarlierRowsTest, AreThoseBelowTheCheckpoint) {
  const std::string below = step(0) + evaluation(1) + step(1) + evaluation(2);
  const EarlierRows rows = read(below + step(2) + evaluation(3) + R"({"step": 3, "lo)", {.step = 2});
  EXPECT_EQ(rows.kept, below);
  EXPECT_EQ(rows.missing, "");
}

// A kill may come between the row of the evaluation and the save that says it is done.
TEST_F(EarlierRowsTest, LackAnEvaluationThatIsDueAgain) {
  EXPECT_EQ(read(step(0) + step(1) + evaluation(2), {.step = 2, .evaluation_due = true}).kept, step(0) + step(1));
}

TEST_F(EarlierRowsTest, AreThereOnce) {
  const EarlierRows rows = read(step(0) + evaluation(1) + step(0) + evaluation(1) + step(1), {.step = 2});
  EXPECT_EQ(rows.kept, step(0) + evaluation(1) + step(1));
  EXPECT_EQ(rows.missing, "");
}

TEST_F(EarlierRowsTest, ThatAreNoneAreLeftOut) {
  EXPECT_EQ(read("\nnotes\n[1]\n{\"step\": 1.5}\n{\"loss\": 1}\n" + step(0), {.step = 1}).kept, step(0));
  const std::string out_of_range = "{\"step\": -1}\n{\"step\": 18446744073709551615}\n{\"step\": 0, \"step\": 0}\n";
  EXPECT_EQ(read(out_of_range + "{\"step\": " + std::string(100'000, '[') + "\n" + step(0), {.step = 1}).kept, step(0));
}

TEST_F(EarlierRowsTest, ThatAreMissingAreNamed) {
  EXPECT_EQ(read("", {.step = 1}).missing, "0");
  EXPECT_EQ(read("", {.step = 4}).missing, "0 to 3");
  EXPECT_EQ(read(step(0) + step(3) + evaluation(5), {.step = 6}).missing, "1 to 2, 4 to 5");
  EXPECT_EQ(read(step(2), {.step = 3}).missing, "0 to 1");
}

TEST_F(EarlierRowsTest, BeginWhereTheRunWentOn) {
  EXPECT_EQ(read(step(2, kResumed) + step(3), {.step = 4}).missing, "");
  EXPECT_EQ(read(evaluation(2, kResumed) + step(2) + step(3), {.step = 4}).missing, "");
  EXPECT_EQ(read(step(2, kResumed) + step(4), {.step = 5}).missing, "3");
}

}  // namespace
}  // namespace retape::trainer
