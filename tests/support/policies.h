// Retention policies for tests.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

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

// Stores a copy of every value, and counts what it is given and asked for.
class CopyingStore final : public SavedStore, public RetentionPolicy {
 public:
  std::unique_ptr<SavedValue> save(Tensor value, const ValueInfo& /*info*/) override {
    ++saves;
    Tensor copy(value.device(), value.shape(), value.dtype(), Tag::checkpoints);
    value.device().copy(copy.data(), value.data(), value.bytes());
    return std::make_unique<Copy>(*this, std::move(copy));
  }
  Decision decide(const ValueInfo& /*value*/) const override {
    return {.what = Retain::store, .store = const_cast<CopyingStore*>(this)};
  }
  int saves = 0;
  int fetches = 0;

 private:
  class Copy final : public SavedValue {
   public:
    Copy(CopyingStore& store, Tensor value) : store_(store), value_(std::move(value)) {}
    Tensor fetch() override {
      ++store_.fetches;
      return value_;
    }

   private:
    CopyingStore& store_;
    Tensor value_;
  };
};

}  // namespace retape::nn
