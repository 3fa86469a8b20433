// Where in a step memory is at its peaks.
#pragma once

#include <string>
#include <string_view>

#include "nn/autograd/observer.h"
#include "nn/runtime/allocator.h"

namespace retape::trainer {

// Looks at the allocator whenever a tape has done something. Peaks that others reach are those of what passed().
class PeakWatch final : public nn::TapeObserver {
 public:
  explicit PeakWatch(const nn::Allocator& memory) : memory_(memory) {}

  void on_event(const nn::TapeEvent& event) override;
  // What was done since the last event was this: "the optimizer's step".
  void passed(std::string_view what);

  // What ran when the peak was first reached: "backward of linear, h.5".
  const std::string& peak() const { return peak_; }
  // The same of activations, checkpoints and recompute together.
  const std::string& activation_peak() const { return activation_peak_; }

 private:
  bool grew() const;
  void note(const std::string& where);

  const nn::Allocator& memory_;
  Bytes peak_bytes_ = 0;
  Bytes activation_peak_bytes_ = 0;
  std::string peak_;
  std::string activation_peak_;
};

}  // namespace retape::trainer
