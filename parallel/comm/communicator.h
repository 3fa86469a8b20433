// Ranks that work together.
//
// A communicator belongs to one rank. Backends: self (one rank), and mpi and nccl, which this version does not have:
// their folders hold absent.cpp, whose functions say so.
#pragma once

#include <memory>
#include <string>

namespace retape::parallel {

class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
};

// The only rank there is.
std::unique_ptr<Communicator> open_self();

namespace mpi {
// All ranks that the launcher started. Throws CommError where MPI was not built.
std::unique_ptr<Communicator> open();
// Why MPI cannot be used; empty where it can.
std::string why_unavailable();
}  // namespace mpi

namespace nccl {
// The ranks of `bootstrap`, one CUDA device each. Throws CommError where NCCL was not built.
std::unique_ptr<Communicator> open(Communicator& bootstrap);
// Why NCCL cannot be used; empty where it can.
std::string why_unavailable();
}  // namespace nccl

}  // namespace retape::parallel
