#include "nn/autograd/graph.h"

namespace retape::nn::detail {

bool Graph::encloses(RegionId outer, RegionId inner) const {
  while (inner != outer && inner != kNone) {
    inner = region(inner).parent;
  }
  return inner == outer;
}

RegionId Graph::common_region(RegionId a, RegionId b) const {
  while (a != b) {
    RegionId& deeper = region(a).depth > region(b).depth ? a : b;
    deeper = region(deeper).parent;
  }
  return a;
}

RegionId Graph::opaque_region(RegionId id) const {
  while (region(id).transparent) {
    id = region(id).parent;
  }
  return id;
}

std::vector<Shape> Graph::input_shapes(const Node& node) const {
  std::vector<Shape> shapes;
  shapes.reserve(node.inputs.size());
  for (const ValueId input : node.inputs) {
    shapes.push_back(value(input).shape);
  }
  return shapes;
}

Tensor Graph::held(ValueId id) const {
  const Value& held = value(id);
  if (held.data.defined()) {
    return held.data;
  }
  return Tensor(held.program.lock(), held.shape, held.dtype);
}

const Rebuild* Graph::open_rebuild(ValueId id) const {
  const Node& made_by = node(value(id).producer);
  for (const Rebuild& way : made_by.op->rebuilds) {
    bool open = way.output == value(id).output;
    for (std::size_t j = 0; open && j < made_by.outputs.size(); ++j) {
      open = !contains(way.from.outputs, j) || available(made_by.outputs[j]);
    }
    if (open) {
      return &way;
    }
  }
  return nullptr;
}

}  // namespace retape::nn::detail
