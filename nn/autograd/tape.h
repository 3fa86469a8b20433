// The tape: runs ops, records them, differentiates them, and rebuilds what was let go.
//
// Forward records a node per op and asks the retention policy once for each value that backward reads. Backward goes
// from the last node to the first. What a node reads and nobody holds is rebuilt by running just the producers that are
// missing, in recorded order, from the nearest values that are there. A rebuilt value stays until its last pending read
// if its region encloses the node being differentiated; otherwise it goes when the rebuild has used it. So one level of
// regions runs each op at most twice, and nested regions give the square-root schedules (Chen et al. 2016,
// arXiv:1604.06174).
//
// An exception in forward leaves the tape as it was before the op; one in backward ends the tape and lets all its
// memory go.
#pragma once

#include <chrono>
#include <exception>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/autograd/gradients.h"
#include "nn/autograd/observer.h"
#include "nn/autograd/op.h"
#include "nn/autograd/retention.h"

namespace retape::nn {

class Tape;

namespace detail {
struct Graph;
class Keeper;
class Regions;
struct TapeToken {};
}  // namespace detail

// A handle to a value of a tape. It holds the data while the program holds the Var, so model code moves a Var into its
// last use.
class Var {
 public:
  Var() = default;

  const Tensor& data() const { return data_; }
  const Shape& shape() const { return data_.shape(); }
  DType dtype() const { return data_.dtype(); }
  bool requires_grad() const { return id_ != kNone; }

 private:
  friend class Tape;
  Var(std::shared_ptr<const detail::TapeToken> tape, ValueId id, std::string_view name, Placement placement,
      Tensor data)
      : tape_(std::move(tape)), id_(id), placement_(placement), name_(name), data_(std::move(data)) {}

  std::shared_ptr<const detail::TapeToken> tape_;
  ValueId id_ = kNone;  // kNone: nothing needs its gradient
  Placement placement_ = Placement::replicated;
  std::string_view name_;
  Tensor data_;
};

// Closes its region when it goes, with the regions inside it.
class RegionScope {
 public:
  RegionScope(RegionScope&& other) noexcept
      : tape_(std::exchange(other.tape_, nullptr)), alive_(std::move(other.alive_)), id_(other.id_) {}
  RegionScope(const RegionScope&) = delete;
  RegionScope& operator=(const RegionScope&) = delete;
  RegionScope& operator=(RegionScope&&) = delete;
  ~RegionScope();
  // Closes it now, so that what fails is thrown here and not at the tape's next use. Throws Error where it is closed
  // already, or a region inside it is open.
  void close();

 private:
  friend class Tape;
  RegionScope(Tape& tape, std::weak_ptr<const detail::TapeToken> alive, RegionId id)
      : tape_(&tape), alive_(std::move(alive)), id_(id) {}
  Tape* tape_;
  std::weak_ptr<const detail::TapeToken> alive_;  // expires with the tape, or when it ends
  RegionId id_;
};

struct TapeOptions {
  bool record = true;                          // false: nothing is recorded or saved
  const RetentionPolicy* policy = nullptr;     // null keeps everything; must outlive the tape
  TapeObserver* observer = nullptr;            // must outlive the tape
  std::shared_ptr<const void> held = nullptr;  // lives as long as the tape: its observer, say
};

struct BackwardOptions {
  float seed = 1;       // gradient of a scalar loss
  bool retain = false;  // keep what is saved, so that backward can run again
};

// What was executed, rebuilds apart.
struct TapeStats {
  std::int64_t forward_ops = 0;
  std::int64_t rebuilt_ops = 0;
  Flops forward_flops = 0;
  Flops rebuilt_flops = 0;
  std::chrono::nanoseconds rebuild_time{0};

  TapeStats& operator+=(const TapeStats& other);
};

// A value that backward needs, and what became of it.
struct Residual {
  std::string region;  // the one that reads it first
  std::string name;
  std::string_view op;
  Shape shape;
  DType dtype = DType::f32;
  Bytes bytes = 0;  // whole, wherever they are
  Retain what = Retain::keep;
  std::string_view place;  // where a store has it
};

class Tape {
 public:
  explicit Tape(Context& context, TapeOptions options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  Context& context() { return context_; }
  const TapeOptions& options() const { return options_; }

  // A value from outside, whose contents must stay as they are until backward has read them: see backward(). With a
  // slot its gradient is summed there. The slot must outlive backward, and the name the tape.
  Var leaf(Tensor data, GradientSlot* slot = nullptr, std::string_view name = {},
           Placement placement = Placement::replicated);

  // Runs an op and records it if the gradient of any input is wanted. Returns its first output; the others are for
  // backward. They are shards where an input is one, or where the op draws from a generator of one rank. `name` is what
  // policies and reports call that output; it must outlive the tape (a literal does).
  template <class T>
  Var run(const typename T::Args& args, std::initializer_list<Var> inputs, std::string_view name = {}) {
    return run(kOp<T>, ArgsBox(args), std::span(inputs.begin(), inputs.size()), name);
  }
  Var run(const Op& op, const ArgsBox& args, std::span<const Var> inputs, std::string_view name);

  // Opens a region inside the innermost open one. `policy` replaces the policy in force for values asked about inside
  // it.
  [[nodiscard]] RegionScope region(std::string name, const RetentionPolicy* policy = nullptr);

  // Where the next op would be recorded: how many regions are open around it, and the policy in force.
  int depth() const;
  const RetentionPolicy* policy() const;
  // Regions opened so far.
  int region_count() const;

  // Adds the gradient of `loss`, a scalar of this tape, to the slots of all leaves. Unless `retain`, the tape ends
  // here. Throws Error, and ends the tape, where it comes to read contents of a leaf that were written since forward
  // read them (Storage::version()): a step of an optimizer between the two, or an input used for the next batch.
  void backward(Var loss, BackwardOptions options = {});
  // The same from any value y of this tape, of which `dy` is the gradient: of y's shape, in y's dtype (a leaf's: in its
  // slot's). Nothing is written to dy where somebody else holds it; moved in, it needs no copy. Throws ShapeError.
  void backward(Var y, Tensor dy, BackwardOptions options = {});

  const TapeStats& stats() const { return stats_; }
  // What backward will read or rebuild from, in recorded order, parameters apart.
  std::vector<Residual> residuals() const;

 private:
  friend class RegionScope;
  enum class State : std::uint8_t { recording, ended };

  void require_alive(std::string_view what) const;
  void require_mine(const Var& var, std::string_view what) const;
  void require_root(const Var& root);
  void differentiate(Var root, Tensor dy, const BackwardOptions& options);
  ValueId record(const Op& op, const ArgsBox& args, const RngRange& rng, std::span<const Var> inputs,
                 const Outputs& outputs, Placement placement, std::string_view name);
  ValueId add_leaf(Tensor data, GradientSlot* slot, std::string_view name, Placement placement);
  ValueId leaf_as_it_is(ValueId id);
  ValueId add_node(const Op& op, const ArgsBox& args, const RngRange& rng, std::span<const Var> inputs,
                   const Outputs& outputs, Placement placement, std::string_view name);
  void note_uses(NodeId id, std::span<const Var> inputs, const Outputs& outputs);
  void abandon_region(RegionId id) noexcept;
  void end() noexcept;

  Context& context_;
  TapeOptions options_;
  State state_ = State::recording;
  std::exception_ptr failure_;                      // what ended the tape where nothing could be thrown
  std::shared_ptr<const detail::TapeToken> token_;  // its values share it
  std::shared_ptr<const detail::TapeToken> alive_;  // nobody shares it: expires when the tape ends or goes
  std::unique_ptr<detail::Graph> graph_;            // what was recorded
  std::unique_ptr<detail::Keeper> keeper_;          // what is kept of it
  std::unique_ptr<detail::Regions> regions_;        // where recording is
  TapeStats stats_;
};

}  // namespace retape::nn
