// What an op needs to run: a device, the generator it draws from, and the tag of what it makes.
//
// One context belongs to one rank, and to that rank's thread.
#pragma once

#include "nn/runtime/device.h"
#include "nn/runtime/philox.h"

namespace retape::nn {

class Context {
 public:
  // The default generator begins at `state`, which all ranks of a tensor-parallel group give alike.
  explicit Context(Device& device, RngState state = {})
      : device_(&device), default_generator_(state, Placement::replicated) {}
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Device& device() const { return *device_; }
  Allocator& memory() const { return device_->memory(); }

  // The generator that ops draw from now.
  Generator& generator() { return *active_generator_; }
  Generator& default_generator() { return default_generator_; }

  // How the outputs of ops are booked: activations in forward, recompute in a rebuild, gradients in backward.
  Tag output_tag() const { return output_tag_; }

 private:
  friend class OutputTagScope;
  friend class GeneratorScope;
  Device* device_;
  Generator default_generator_;
  Generator* active_generator_ = &default_generator_;
  Tag output_tag_ = Tag::activations;
};

// Books what ops make under another tag while it lives.
class OutputTagScope {
 public:
  OutputTagScope(Context& context, Tag tag) : context_(&context), before_(context.output_tag_) {
    context.output_tag_ = tag;
  }
  ~OutputTagScope() { context_->output_tag_ = before_; }
  OutputTagScope(const OutputTagScope&) = delete;
  OutputTagScope& operator=(const OutputTagScope&) = delete;

 private:
  Context* context_;
  Tag before_;
};

// Makes ops draw from another generator while it lives.
class GeneratorScope {
 public:
  GeneratorScope(Context& context, Generator& generator) : context_(&context), before_(context.active_generator_) {
    context.active_generator_ = &generator;
  }
  ~GeneratorScope() { context_->active_generator_ = before_; }
  GeneratorScope(const GeneratorScope&) = delete;
  GeneratorScope& operator=(const GeneratorScope&) = delete;

 private:
  Context* context_;
  Generator* before_;
};

}  // namespace retape::nn
