#include "trainer/learner.h"

#include <gmock/gmock.h>

#include <limits>

#include "trainer/config_loader.h"

namespace retape::trainer {
namespace {

Config small_config() {
  const std::vector<std::string> settings{"model.layers=1", "model.heads=1", "model.dim=8", "model.seq_len=4",
                                          "data.train=text"};
  return load_config({}, settings);
}

TEST(Learner, KeepsMomentsOnlyWhereItTrains) {
  const Config config = small_config();
  const auto bytes_of = [&](bool trains, nn::Tag tag) {
    nn::Device device({.kind = nn::DeviceKind::meta});
    Learner learner(device, config, 16, {.trains = trains});
    return learner.memory().live_by_tag[static_cast<std::size_t>(tag)];
  };
  EXPECT_GE(bytes_of(true, nn::Tag::optimizer), 2 * bytes_of(true, nn::Tag::parameters));
  EXPECT_EQ(bytes_of(false, nn::Tag::optimizer), 0);
  EXPECT_EQ(bytes_of(false, nn::Tag::parameters), bytes_of(true, nn::Tag::parameters));
}

// The weights are known to be bad only when the step has ended.
TEST(Learner, AStepThatIsNotFiniteChangesNothing) {
  const Config config = small_config();
  nn::Device device({.threads = 1});
  Learner learner(device, config, 16);
  nn::Parameter& table = *learner.model().parameters().front();
  std::vector<float> bad = table.weight().to_host<float>();
  bad.front() = std::numeric_limits<float>::infinity();
  table.load(learner.context(), bad);
  std::vector<std::vector<float>> before;
  for (const nn::Parameter* parameter : learner.model().parameters()) {
    before.push_back(parameter->weight().to_host<float>());
  }
  const auto step = [&] {
    learner.step(0, [](data::Batch& batch) { batch.resize(2, 4); });  // of ids 0, whose row is bad
  };
  EXPECT_THAT(step, testing::ThrowsMessage<Error>(testing::HasSubstr("expected a finite loss and gradient")));
  EXPECT_EQ(learner.optimizer().steps(), 0);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(learner.model().parameters()[i]->weight().to_host<float>(), before[i]);
    const std::vector<float> moment = learner.optimizer().moments()[i].first.to_host<float>();
    EXPECT_EQ(moment, std::vector<float>(moment.size(), 0));
  }
}

}  // namespace
}  // namespace retape::trainer
