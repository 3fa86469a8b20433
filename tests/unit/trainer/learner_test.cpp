#include "trainer/learner.h"

#include <gmock/gmock.h>

#include "trainer/config_loader.h"

namespace retape::trainer {
namespace {

TEST(Learner, KeepsMomentsOnlyWhereItTrains) {
  const std::vector<std::string> settings{"model.layers=1", "model.heads=1", "model.dim=8", "model.seq_len=4",
                                          "data.train=text"};
  const Config config = load_config({}, settings);
  const auto bytes_of = [&](bool trains, nn::Tag tag) {
    nn::Device device({.kind = nn::DeviceKind::meta});
    Learner learner(device, config, 16, {.trains = trains});
    return learner.memory().live_by_tag[static_cast<std::size_t>(tag)];
  };
  EXPECT_GT(bytes_of(true, nn::Tag::optimizer), 0);
  EXPECT_EQ(bytes_of(false, nn::Tag::optimizer), 0);
  EXPECT_EQ(bytes_of(false, nn::Tag::parameters), bytes_of(true, nn::Tag::parameters));
}

}  // namespace
}  // namespace retape::trainer
