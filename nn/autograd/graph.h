// The tape's record. Internal to nn/autograd.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "nn/autograd/gradients.h"
#include "nn/autograd/op.h"
#include "nn/autograd/retention.h"

namespace retape::nn::detail {

// What the policy said of a value.
enum class Fate : std::uint8_t { undecided, keep, recompute, store };

struct Value {
  Shape shape;
  DType dtype = DType::f32;
  Placement placement = Placement::replicated;
  bool requires_grad = false;
  bool needed_to_rebuild = false;  // some dropped value cannot be rebuilt without it
  Fate fate = Fate::undecided;
  std::string_view name;
  NodeId producer = kNone;  // kNone: a leaf
  int output = 0;           // which output of the producer
  RegionId home = kRootRegion;
  RegionId reader = kRootRegion;      // where it was when the policy was asked
  Tensor data;                        // while the tape holds it
  std::uint64_t version = 0;          // of its storage when it was recorded
  std::weak_ptr<Storage> program;     // while the program may hold it
  std::unique_ptr<SavedValue> saved;  // while a store holds it
  std::vector<NodeId> consumers;      // recorded nodes that take it as input
  NodeId last_read = kNone;           // the lowest node whose backward reads it, which is the last one to
  NodeId horizon = kNone;             // the same, reads by rebuilds counted; set when backward starts
  Tensor gradient;                    // of interior values, while it is summed
  GradientSlot* slot = nullptr;       // of leaves
};

// Whether the tape has the value, itself or in a store, until its horizon.
inline bool tape_holds(const Value& value) {
  return value.fate == Fate::keep || value.fate == Fate::store;
}

// In which the gradient of the value is summed.
inline DType gradient_dtype(const Value& value) {
  return value.slot != nullptr ? value.slot->dtype : value.dtype;
}

struct Node {
  const Op* op;
  ArgsBox args;
  RngRange rng;
  RegionId region;
  Reads reads;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
};

// All inputs: what running an op again reads.
inline constexpr Reads kAllInputs{.inputs = ~0U, .outputs = 0};

struct Graph {
  std::vector<Value> values;
  std::vector<Node> nodes;
  std::vector<Region> regions;
  ValueId root = kNone;       // what backward began with
  std::optional<float> seed;  // its gradient, where that is a number of the host

  Value& value(ValueId id) { return values[static_cast<std::size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<std::size_t>(id)]; }
  Node& node(NodeId id) { return nodes[static_cast<std::size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes[static_cast<std::size_t>(id)]; }
  Region& region(RegionId id) { return regions[static_cast<std::size_t>(id)]; }
  const Region& region(RegionId id) const { return regions[static_cast<std::size_t>(id)]; }

  // Whether `outer` is `inner` or a region around it.
  bool encloses(RegionId outer, RegionId inner) const;
  RegionId common_region(RegionId a, RegionId b) const;
  // The innermost region around `id` that is not transparent.
  RegionId opaque_region(RegionId id) const;
  std::vector<Shape> input_shapes(const Node& node) const;
  // The data where the tape or the program holds it, undefined otherwise.
  Tensor held(ValueId id) const;
  // Whether somebody has it, so that it need not be rebuilt.
  bool available(ValueId id) const { return value(id).saved != nullptr || held(id).defined(); }
  // The cheap way to make the value again whose sources among its op's outputs are there; null where the op has to run.
  const Rebuild* open_rebuild(ValueId id) const;

  // Calls visit(ValueId) for each of the node's inputs and outputs that `reads` names.
  template <class Visit>
  void for_each_read(const Node& node, const Reads& reads, const Visit& visit) const {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      if (contains(reads.inputs, i)) {
        visit(node.inputs[i]);
      }
    }
    for (std::size_t j = 0; j < node.outputs.size(); ++j) {
      if (contains(reads.outputs, j)) {
        visit(node.outputs[j]);
      }
    }
  }
};

}  // namespace retape::nn::detail
