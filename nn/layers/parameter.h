// What a model learns.
#pragma once

#include <string>
#include <vector>

#include "nn/autograd/tape.h"
#include "nn/runtime/context.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

// A weight in f32, the copy that the model computes with, and its gradient.
//
// In f32 the copy is the weight itself; in bf16 it is rounded from it after every change.
class Parameter {
 public:
  // Uninitialised. `dtype` is what the model computes in, f32 or bf16.
  Parameter(Device& device, std::string name, const Shape& shape, DType dtype);
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;
  Parameter(Parameter&&) = default;
  Parameter& operator=(Parameter&&) = default;

  const std::string& name() const { return name_; }
  const Shape& shape() const { return weight_.shape(); }
  Elems elems() const { return weight_.elems(); }
  const Tensor& weight() const { return weight_; }    // f32
  const Tensor& working() const { return working_; }  // the model's dtype
  GradientSlot& gradient() { return gradient_; }      // f32

  // The parameter as a leaf of the tape.
  Var on(Tape& tape) { return tape.leaf(working_, &gradient_, name_); }

  // Each takes new weights and brings the working copy up to date. A tape that has read the former ones, and would read
  // them again in backward, refuses to: backward comes before the weights change.
  void fill(Context& context, float value);
  void fill_normal(Context& context, double stddev, const RngRange& rng);
  void load(Context& context, std::span<const float> values);
  // Brings the working copy up to date after the weight was written in place.
  void weight_changed(Context& context);
  // Says that weight and working copy were both written in place.
  void note_write();

 private:
  std::string name_;
  Tensor weight_;
  Tensor working_;
  GradientSlot gradient_;
};

// In the order in which the model declares them.
using Parameters = std::vector<Parameter*>;

// Lets go of all gradients, so that the next backward starts from none.
void clear_gradients(const Parameters& parameters);

}  // namespace retape::nn
