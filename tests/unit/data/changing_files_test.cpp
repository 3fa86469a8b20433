// Token files that somebody writes to while they are in use.
#include <gmock/gmock.h>

#include <fstream>

#include "data/dataset.h"
#include "data/sampler.h"
#include "data/windows.h"
#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::Each;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr std::int64_t kVocab = 50;

class ChangingFiles : public testing::Test {
 protected:
  ChangingFiles() {
    first_ = dir_.write("first.bin", std::vector<Token>(1000, 7));
    second_ = dir_.write("second.bin", std::vector<Token>(1000, 8));
  }

  Dataset open() const {
    return open_dataset({.train = {first_.string()}, .val = {second_.string()}, .vocab = kVocab, .seq_len = 10});
  }
  Sampler sampler() const { return {open().train, {.order = Order::kSequential, .batch_size = 2, .seq_len = 10}}; }

  // Writes over a token of a file without making it anew.
  static void put(const std::filesystem::path& path, std::int64_t position, Token id) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(position * 2));
    file.write(reinterpret_cast<const char*>(&id), sizeof id);
  }

  TempDir dir_;
  std::filesystem::path first_;
  std::filesystem::path second_;
};

TEST_F(ChangingFiles, OneThatShrinksEndsTheTrainingWithAnError) {
  Sampler rows = sampler();
  Batch batch;
  rows.next(batch);
  EXPECT_THAT(batch.inputs, Each(7));
  std::filesystem::resize_file(first_, 1000);
  EXPECT_THAT([&] { rows.next(batch); },
              ThrowsMessage<DataError>(
                  AllOf(HasSubstr(first_.string()), HasSubstr("expected 2000 bytes"), HasSubstr("found 1000"))));
}

TEST_F(ChangingFiles, OneThatShrinksEndsTheValidationWithAnError) {
  Windows windows(open().val, 2, 10);
  Batch batch;
  ASSERT_TRUE(windows.next(batch));
  EXPECT_THAT(batch.targets, Each(8));
  std::filesystem::resize_file(second_, 4);
  EXPECT_THAT([&] { windows.next(batch); },
              ThrowsMessage<DataError>(AllOf(HasSubstr(second_.string()), HasSubstr("found 4"))));
}

TEST_F(ChangingFiles, AnIdOutsideTheTableIsSeenWhereItIsUsed) {
  Sampler rows = sampler();
  Windows windows(open().val, 2, 10);
  Batch batch;
  rows.next(batch);
  put(first_, 30, kVocab);
  put(second_, 5, 65535);
  EXPECT_THAT([&] { rows.next(batch); },
              ThrowsMessage<DataError>(AllOf(HasSubstr(first_.string() + ": token 30"), HasSubstr("size 50, got 50"))));
  EXPECT_THAT([&] { windows.next(batch); }, ThrowsMessage<DataError>(AllOf(HasSubstr(second_.string() + ": token 5"),
                                                                           HasSubstr("size 50, got 65535"))));
}

TEST_F(ChangingFiles, OneThatGrowsIsReadAsItWas) {
  Sampler rows = sampler();
  std::filesystem::resize_file(first_, 4001);
  Batch batch;
  for (int i = 0; i < 60; ++i) {
    rows.next(batch);
    EXPECT_THAT(batch.inputs, Each(7));
  }
}

TEST_F(ChangingFiles, OneThatIsReplacedOrRemovedIsReadAsItWas) {
  Sampler rows = sampler();
  std::filesystem::rename(second_, first_);
  Batch batch;
  rows.next(batch);
  EXPECT_THAT(batch.inputs, Each(7));
  std::filesystem::remove(first_);
  rows.next(batch);
  EXPECT_THAT(batch.inputs, Each(7));
}

TEST_F(ChangingFiles, TextIsReadOnceAndForAll) {
  const auto path = dir_.write("a.txt", std::string(1000, 'x'));
  Windows windows(open_dataset({.train = {path.string()}, .val_fraction = 0, .seq_len = 10}).train, 2, 10);
  std::filesystem::resize_file(path, 1);
  Batch batch;
  ASSERT_TRUE(windows.next(batch));
  EXPECT_THAT(batch.inputs, Each('x'));
}

}  // namespace
}  // namespace retape::data
