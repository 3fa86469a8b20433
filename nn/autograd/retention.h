// What happens to a value that backward reads: the seam between the tape and the policies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "nn/autograd/op.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

using NodeId = std::int32_t;
using ValueId = std::int32_t;
using RegionId = std::int32_t;
inline constexpr std::int32_t kNone = -1;
inline constexpr RegionId kRootRegion = 0;

// Where a value lives in the tensor-parallel group: whole on every rank, or a different part on each.
enum class Placement : std::uint8_t { replicated, shard };

// A named stretch of nodes. Regions nest; the root region holds everything.
struct Region {
  std::string name;
  RegionId parent = kNone;
  int depth = 0;
  NodeId first = 0;     // its nodes are [first, last)
  NodeId last = kNone;  // kNone while the region is open
};

// What a policy is told of a value.
struct ValueInfo {
  std::string_view name;  // what the model calls it, or the op's name for that output
  std::string_view op;    // the op that made it
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

// Asked once for each value that backward reads, when the first node that reads it is recorded; and once more if the
// value is then used outside the region that it seemed to belong to.
class RetentionPolicy {
 public:
  virtual ~RetentionPolicy() = default;
  virtual Decision decide(const ValueInfo& value) const = 0;
};

}  // namespace retape::nn
