// What happens to a value that backward reads: the seam between the tape and the policies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "nn/autograd/op.h"
#include "nn/runtime/placement.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

using NodeId = std::int32_t;
using ValueId = std::int32_t;
using RegionId = std::int32_t;
inline constexpr std::int32_t kNone = -1;
inline constexpr RegionId kRootRegion = 0;

// A named stretch of nodes. Regions nest; the root region holds everything.
struct Region {
  std::string name;
  RegionId parent = kNone;
  int depth = 0;
  int layer = kNone;         // which of the model's outermost regions it is or lies in, counted from 0
  bool transparent = false;  // a name only: its values belong to the region around it
  NodeId first = 0;          // its nodes are [first, last)
  NodeId last = kNone;       // kNone while the region is open
};

// What a policy is told of a value.
struct ValueInfo {
  std::string_view name;  // what the model calls it, or the op's name for that output
  std::string_view op;    // the op that made it
  int output = 0;         // which of the op's outputs it is; 0 is what the model sees
  Shape shape;
  DType dtype = DType::f32;
  Bytes bytes = 0;
  Cost cost;                       // of the op that made it
  const Region* home = nullptr;    // the innermost region around its producer and its readers so far
  const Region* reader = nullptr;  // the region of the node that is about to read it
  Placement placement = Placement::replicated;
};

// A value in the care of a store. Destroying it lets the data go.
class SavedValue {
 public:
  virtual ~SavedValue() = default;
  // The data, whole and with the bits that were saved. May be called more than once.
  virtual Tensor fetch() = 0;
  // Says that fetch() comes soon.
  virtual void prefetch() {}
  // Where the data is, for reports: "partitioned", "offloaded".
  virtual std::string_view place() const { return "in place"; }
};

// Takes values away from the tape: shards, compresses or offloads them.
class SavedStore {
 public:
  virtual ~SavedStore() = default;
  virtual std::unique_ptr<SavedValue> save(Tensor value, const ValueInfo& info) = 0;
};

// The store that does nothing.
class KeepInPlaceStore final : public SavedStore {
 public:
  std::unique_ptr<SavedValue> save(Tensor value, const ValueInfo& info) override;
};

enum class Retain : std::uint8_t { keep, recompute, store };

struct Decision {
  Retain what = Retain::keep;
  SavedStore* store = nullptr;  // for Retain::store; must outlive the tape
  Tag tag = Tag::activations;   // how a kept value is booked
};

// Consecutive outermost regions of the model, put into regions of `size`. Where they are merged, a group is one region
// and its members are transparent: it is rebuilt as a whole. Otherwise members stay regions inside their group.
struct RegionGrouping {
  int size = 1;  // 1: no groups
  bool merged = false;

  bool operator==(const RegionGrouping&) const = default;
};

// Asked once for each value that backward reads, when the first node that reads it is recorded; and once more if the
// value is then used outside the region that it seemed to belong to.
class RetentionPolicy {
 public:
  virtual ~RetentionPolicy() = default;
  virtual Decision decide(const ValueInfo& value) const = 0;
  // Asked when an outermost region is opened, of the tape's own policy.
  virtual RegionGrouping grouping() const { return {}; }
  // Told to the tape's own policy before the first op outside all regions that follows one.
  virtual void left_regions() const {}
};

}  // namespace retape::nn
