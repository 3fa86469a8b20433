#include "trainer/nearest_name.h"

#include <gtest/gtest.h>

#include <array>

namespace retape::trainer {
namespace {

constexpr std::array<std::string_view, 5> kNames{"layers", "heads", "seq_len", "batch_size", "lr"};

TEST(NearestName, CountsEdits) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("layers", "layers"), 0U);
  EXPECT_EQ(edit_distance("lyaers", "layers"), 1U);  // neighbours swapped
  EXPECT_EQ(edit_distance("Seq-Len", "seq_len"), 0U);
}

TEST(NearestName, FindsWhatWasMeant) {
  EXPECT_EQ(nearest_name("leyers", kNames), "layers");
  EXPECT_EQ(nearest_name("head", kNames), "heads");
  EXPECT_EQ(nearest_name("seqlen", kNames), "seq_len");
  EXPECT_EQ(nearest_name("batch", kNames), "batch_size");
  EXPECT_EQ(nearest_name("LR", kNames), "lr");
}

TEST(NearestName, IsSilentWhereNothingIsNear) {
  EXPECT_EQ(nearest_name("temperature", kNames), std::nullopt);
  EXPECT_EQ(nearest_name("", kNames), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(1000, 'l'), kNames), std::nullopt);
}

TEST(NearestName, SuggestsTheNearestOrAll) {
  EXPECT_EQ(suggest_name("lrr", kNames), "did you mean \"lr\"?");
  EXPECT_EQ(suggest_name("temperature", kNames), "the names are layers, heads, seq_len, batch_size, lr");
}

}  // namespace
}  // namespace retape::trainer
