#include "nn/autograd/tape.h"

#include <algorithm>
#include <utility>

#include "nn/autograd/backward.h"
#include "nn/autograd/graph.h"
#include "nn/autograd/keeper.h"
#include "nn/autograd/regions.h"
#include "nn/autograd/stopwatch.h"

namespace retape::nn {

using detail::Fate;
using detail::Node;
using detail::Value;

TapeStats& TapeStats::operator+=(const TapeStats& other) {
  forward_ops += other.forward_ops;
  rebuilt_ops += other.rebuilt_ops;
  forward_flops += other.forward_flops;
  rebuilt_flops += other.rebuilt_flops;
  rebuild_time += other.rebuild_time;
  return *this;
}

Tape::Tape(Context& context, TapeOptions options)
    : context_(context),
      options_(std::move(options)),
      token_(std::make_shared<const detail::TapeToken>()),
      alive_(std::make_shared<const detail::TapeToken>()),
      graph_(std::make_unique<detail::Graph>()),
      keeper_(std::make_unique<detail::Keeper>(*graph_, options_.observer)),
      regions_(std::make_unique<detail::Regions>(*graph_, *keeper_, options_.policy, options_.observer)) {}

Tape::~Tape() = default;

void Tape::require_alive(std::string_view what) const {
  if (failure_ != nullptr) {
    std::rethrow_exception(failure_);
  }
  require(state_ == State::recording, "[tape] {}: expected a tape that records, got one that has ended", what);
}

void Tape::require_mine(const Var& var, std::string_view what) const {
  require(var.data_.defined(), "[tape] {}: expected a value, got an empty or moved-from Var", what);
  require(var.tape_ == token_,
          "[tape] {}: expected a value of this tape, got one of a tape that is another or has ended", what);
}

Var Tape::leaf(Tensor data, GradientSlot* slot, std::string_view name, Placement placement) {
  require_alive("leaf");
  require(data.defined(), "[tape] leaf {}: expected data, got an undefined tensor", name);
  const bool wanted = slot != nullptr && options_.record;
  const ValueId id = wanted ? add_leaf(data, slot, name, placement) : kNone;
  return {token_, id, name, placement, std::move(data)};
}

// Without a slot it is a constant, which a rebuild can read again.
ValueId Tape::add_leaf(Tensor data, GradientSlot* slot, std::string_view name, Placement placement) {
  Value value;
  value.shape = data.shape();
  value.dtype = data.dtype();
  value.placement = placement;
  value.requires_grad = slot != nullptr;
  value.fate = Fate::keep;
  value.name = name;
  value.version = data.storage()->version();
  value.data = std::move(data);
  value.slot = slot;
  graph_->values.push_back(std::move(value));
  return static_cast<ValueId>(graph_->values.size()) - 1;
}

// A leaf that was written since it was given is another value from then on, whose gradient goes to the same slot.
ValueId Tape::leaf_as_it_is(ValueId id) {
  const Value& leaf = graph_->value(id);
  const bool written = leaf.data.storage()->version() != leaf.version;
  return written ? add_leaf(leaf.data, leaf.slot, leaf.name, leaf.placement) : id;
}

Var Tape::run(const Op& op, const ArgsBox& args, std::span<const Var> inputs, std::string_view name) {
  require_alive(op.traits.name);
  std::vector<Tensor> tensors;
  std::vector<Shape> shapes;
  tensors.reserve(inputs.size());
  shapes.reserve(inputs.size());
  bool wanted = false;
  for (const Var& input : inputs) {
    require_mine(input, op.traits.name);
    tensors.push_back(input.data_);
    shapes.push_back(input.shape());
    wanted |= input.requires_grad();
  }
  regions_->enter_op();
  Generator& generator = context_.generator();
  const RngRange rng = generator.state();
  const detail::Stopwatch stopwatch(options_.observer);
  Outputs outputs = op.forward(context_, args.get(), {.tensors = tensors, .rng = rng, .recording = wanted});
  const Flops flops = op.cost(args.get(), shapes).flops;
  ++stats_.forward_ops;
  stats_.forward_flops += flops;
  stopwatch.report(TapeEvent::Work::forward, op.traits.name, graph_->region(regions_->here()), flops);
  const Elems drawn = op.traits.uses_rng ? op.rng_elems(args.get(), shapes) : 0;
  const bool differs =
      (drawn > 0 && generator.placement() == Placement::shard) ||
      std::any_of(inputs.begin(), inputs.end(), [](const Var& input) { return input.placement_ == Placement::shard; });
  const Placement placement = differs ? Placement::shard : Placement::replicated;
  ValueId first = kNone;
  if (wanted) {
    first = record(op, args, rng, inputs, outputs, placement, name);
  }
  generator.draw(drawn);  // only now: an op that failed has moved no generator
  return {token_, first, name.empty() ? op.outputs.front() : name, placement, std::move(outputs.front())};
}

ValueId Tape::record(const Op& op, const ArgsBox& args, const RngRange& rng, std::span<const Var> inputs,
                     const Outputs& outputs, Placement placement, std::string_view name) {
  const std::size_t values_before = graph_->values.size();
  const auto id = static_cast<NodeId>(graph_->nodes.size());
  const ValueId first = add_node(op, args, rng, inputs, outputs, placement, name);
  try {
    note_uses(id, inputs, outputs);
  } catch (...) {
    for (const ValueId input : graph_->node(id).inputs) {
      std::erase(graph_->value(input).consumers, id);
    }
    graph_->nodes.pop_back();
    graph_->values.resize(values_before);
    throw;
  }
  return first;
}

void Tape::note_uses(NodeId id, std::span<const Var> inputs, const Outputs& outputs) {
  const Node& node = graph_->node(id);
  const RetentionPolicy* policy = regions_->policy();
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    keeper_->note_use(node.inputs[i], inputs[i].data_, node.region, policy);
    if (contains(node.reads.inputs, i)) {
      keeper_->note_read(node.inputs[i], inputs[i].data_, id, policy);
    }
  }
  for (std::size_t j = 0; j < outputs.size(); ++j) {
    if (contains(node.reads.outputs, j)) {
      keeper_->note_read(node.outputs[j], outputs[j], id, policy);
    }
  }
}

ValueId Tape::add_node(const Op& op, const ArgsBox& args, const RngRange& rng, std::span<const Var> inputs,
                       const Outputs& outputs, Placement placement, std::string_view name) {
  const auto id = static_cast<NodeId>(graph_->nodes.size());
  Node node{.op = &op, .args = args, .rng = rng, .region = regions_->here(), .reads = op.reads(args.get())};
  node.inputs.reserve(inputs.size());
  node.outputs.reserve(outputs.size());
  for (const Var& input : inputs) {
    ValueId value = input.id_;
    if (value == kNone) {
      value = add_leaf(input.data_, nullptr, input.name_, input.placement_);
    } else if (graph_->value(value).producer == kNone) {
      value = leaf_as_it_is(value);
    }
    graph_->value(value).consumers.push_back(id);
    node.inputs.push_back(value);
  }
  const auto first = static_cast<ValueId>(graph_->values.size());
  for (std::size_t j = 0; j < outputs.size(); ++j) {
    Value value;
    if (outputs[j].defined()) {
      value.shape = outputs[j].shape();
      value.dtype = outputs[j].dtype();
      value.program = outputs[j].storage();
      value.version = outputs[j].storage()->version();
    }
    value.placement = placement;
    value.requires_grad = true;
    value.name = j == 0 && !name.empty() ? name : op.outputs[j];
    value.producer = id;
    value.output = static_cast<int>(j);
    value.home = node.region;
    node.outputs.push_back(first + static_cast<ValueId>(j));
    graph_->values.push_back(std::move(value));
  }
  graph_->nodes.push_back(std::move(node));
  return first;
}

void Tape::backward(Var loss, BackwardOptions options) {
  require_root(loss);
  require<ShapeError>(loss.data_.elems() == 1 && loss.dtype() == DType::f32,
                      "[tape] backward: expected a scalar f32 loss, or a gradient to begin with, got {} {}",
                      name(loss.dtype()), loss.shape().str());
  differentiate(std::move(loss), Tensor(), options);
}

void Tape::backward(Var y, Tensor dy, BackwardOptions options) {
  require_root(y);
  require(options.seed == 1, "[tape] backward: expected a seed or a gradient to begin with, got both");
  require(dy.defined() && &dy.device() == &context_.device(),
          "[tape] backward: expected a gradient on the device of the tape, got {}",
          dy.defined() ? "one on another" : "an undefined tensor");
  const DType dtype = detail::gradient_dtype(graph_->value(y.id_));
  require<ShapeError>(dy.shape() == y.shape() && dy.dtype() == dtype,
                      "[tape] backward: expected a gradient of {} {}, got {} {}", name(dtype), y.shape().str(),
                      name(dy.dtype()), dy.shape().str());
  differentiate(std::move(y), std::move(dy), options);
}

// Ends an open group too: backward is none of its members.
void Tape::require_root(const Var& root) {
  require_alive("backward");
  require_mine(root, "backward");
  require(root.requires_grad(),
          "[tape] backward: expected a loss that depends on a leaf with a gradient, got a constant");
  regions_->leave_group();
  require(regions_->innermost().depth == 0, "[tape] backward: expected region {} to be closed first",
          regions_->innermost().name);
}

void Tape::differentiate(Var root, Tensor dy, const BackwardOptions& options) {
  const ValueId id = root.id_;
  root = Var();
  try {
    detail::Backward(context_, *graph_, stats_, options_.observer).run(id, std::move(dy), options);
  } catch (...) {
    end();
    throw;
  }
  if (!options.retain) {
    end();
  }
}

std::vector<Residual> Tape::residuals() const {
  require_alive("residuals");
  std::vector<Residual> residuals;
  for (const Value& value : graph_->values) {
    if (value.producer == kNone || value.fate == Fate::undecided) {
      continue;
    }
    residuals.push_back({.region = graph_->region(value.reader).name,
                         .name = std::string(value.name),
                         .op = graph_->node(value.producer).op->traits.name,
                         .shape = value.shape,
                         .dtype = value.dtype,
                         .bytes = value.shape.elems() * size_of(value.dtype),
                         .what = value.fate == Fate::keep    ? Retain::keep
                                 : value.fate == Fate::store ? Retain::store
                                                             : Retain::recompute,
                         .place = value.saved != nullptr ? value.saved->place() : std::string_view()});
  }
  return residuals;
}

RegionScope Tape::region(std::string name, const RetentionPolicy* policy) {
  require_alive("region");
  return {*this, alive_, regions_->open(std::move(name), policy)};
}

RegionScope::~RegionScope() {
  if (tape_ != nullptr && !alive_.expired()) {
    tape_->abandon_region(id_);
  }
}

void RegionScope::close() {
  require(!alive_.expired(), "[tape] region: expected a region of a live tape, got one whose tape has ended");
  tape_->regions_->close(id_);
}

// A scope that goes closes what is open inside it too: an exception may be on its way out. What fails here (a store
// that is full) cannot be thrown from a destructor: it ends the tape, and the next use of the tape throws it.
void Tape::abandon_region(RegionId id) noexcept {
  try {
    if (!regions_->is_closed(id)) {
      regions_->close_with_inner(id);
    }
  } catch (...) {
    failure_ = std::current_exception();
    end();
  }
}

const RetentionPolicy* Tape::policy() const {
  return regions_->policy();
}

int Tape::depth() const {
  require_alive("depth");
  return regions_->innermost().depth;
}

int Tape::region_count() const {
  require_alive("region");
  return static_cast<int>(graph_->regions.size()) - 1;
}

void Tape::end() noexcept {
  state_ = State::ended;
  token_ = std::make_shared<const detail::TapeToken>();
  alive_.reset();
  *graph_ = detail::Graph();
}

}  // namespace retape::nn
