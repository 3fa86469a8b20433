#include "parallel/topology.h"

#include <string>

#include "nn/base/error.h"
#include "parallel/comm/agreement.h"

namespace retape::parallel {

Topology Topology::single() {
  return {Group::self(), Group::self()};
}

Topology make_topology(Communicator& world, int tensor_size) {
  require_agreement(world, "tensor-parallel size", std::to_string(tensor_size));
  require<ConfigError>(tensor_size > 0 && world.size() % tensor_size == 0,
                       "[topology] tensor-parallel size: expected a divisor of the {} ranks, got {}", world.size(),
                       tensor_size);
  const int data_rank = world.rank() / tensor_size;
  const int tensor_rank = world.rank() % tensor_size;
  if (world.planned()) {
    return {Group(open_planned(tensor_rank, tensor_size)), Group(open_planned(data_rank, world.size() / tensor_size))};
  }
  // In braces the tensor group is made first on every rank.
  return {Group(world.split(data_rank)), Group(world.split(tensor_rank))};
}

}  // namespace retape::parallel
