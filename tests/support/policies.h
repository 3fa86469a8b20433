// Retention policies for tests.
#pragma once

#include <string_view>

#include "nn/autograd/retention.h"

namespace retape::nn {

// Lets go of every value that belongs to a region, keeps those of the root: full checkpointing.
class DropInRegions final : public RetentionPolicy {
 public:
  Decision decide(const ValueInfo& value) const override {
    return {.what = value.home->depth > 0 ? Retain::recompute : Retain::keep};
  }
};

// Lets go of the values of one name.
class DropNamed final : public RetentionPolicy {
 public:
  explicit DropNamed(std::string_view name) : name_(name) {}
  Decision decide(const ValueInfo& value) const override {
    return {.what = value.name == name_ ? Retain::recompute : Retain::keep};
  }

 private:
  std::string_view name_;
};

}  // namespace retape::nn
