// Which ranks share a replica of the model, and which hold the same part of different replicas: the "mpu" of DeepSpeed
// and Megatron.
#pragma once

#include "parallel/comm/group.h"

namespace retape::parallel {

// rank = data.rank() * tensor.size() + tensor.rank(): tensor-parallel ranks are neighbours.
struct Topology {
  Group tensor;  // ranks that share one replica
  Group data;    // ranks that hold the same part of different replicas

  static Topology single();  // one rank
};

// Divides `world` into replicas of `tensor_size` ranks. Collective; a planned world gives planned groups.
// Throws, the same on every rank: CommError where the ranks pass different sizes, ConfigError where tensor_size does
// not divide the number of ranks.
Topology make_topology(Communicator& world, int tensor_size);

}  // namespace retape::parallel
