#include "nn/runtime/context.h"

#include <gtest/gtest.h>

#include "nn/base/error.h"

namespace retape::nn {
namespace {

class ContextTest : public ::testing::Test {
 protected:
  Device device_{{.kind = DeviceKind::meta, .threads = 1}};
  Context context_{device_, RngState{.seed = 3, .offset = 4}};
};

TEST_F(ContextTest, StartsWithActivationsAndItsOwnGenerator) {
  EXPECT_EQ(&context_.device(), &device_);
  EXPECT_EQ(&context_.memory(), &device_.memory());
  EXPECT_EQ(context_.output_tag(), Tag::activations);
  EXPECT_EQ(&context_.generator(), &context_.default_generator());
  EXPECT_EQ(context_.generator().state(), (RngState{3, 4}));
}

TEST_F(ContextTest, TagScopesNest) {
  {
    const OutputTagScope outer(context_, Tag::gradients);
    EXPECT_EQ(context_.output_tag(), Tag::gradients);
    {
      const OutputTagScope inner(context_, Tag::recompute);
      EXPECT_EQ(context_.output_tag(), Tag::recompute);
    }
    EXPECT_EQ(context_.output_tag(), Tag::gradients);
  }
  EXPECT_EQ(context_.output_tag(), Tag::activations);
}

TEST_F(ContextTest, GeneratorScopesNestAndLeaveTheOthersWhereTheyWere) {
  Generator first(RngState{10, 0});
  Generator second(RngState{20, 0});
  {
    const GeneratorScope outer(context_, first);
    EXPECT_EQ(context_.generator().draw(4), (RngRange{10, 0}));
    {
      const GeneratorScope inner(context_, second);
      EXPECT_EQ(context_.generator().draw(8), (RngRange{20, 0}));
    }
    EXPECT_EQ(context_.generator().draw(4), (RngRange{10, 1}));
  }
  EXPECT_EQ(context_.generator().state(), (RngState{3, 4}));
  EXPECT_EQ(first.state(), (RngState{10, 2}));
  EXPECT_EQ(second.state(), (RngState{20, 2}));
}

TEST_F(ContextTest, ScopesEndWithAnException) {
  Generator other;
  try {
    const OutputTagScope tag(context_, Tag::recompute);
    const GeneratorScope generator(context_, other);
    fail("[test] on purpose");
  } catch (const Error&) {
    EXPECT_EQ(context_.output_tag(), Tag::activations);
    EXPECT_EQ(&context_.generator(), &context_.default_generator());
  }
}

}  // namespace
}  // namespace retape::nn
