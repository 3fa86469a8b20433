// Ranks that work together.
//
// A communicator belongs to one rank, and is used by one thread of it at a time. Backends:
//   self      one rank
//   thread    ranks are threads of one process (thread/ranks.h)
//   planned   a member of a group that exists only in a plan: for meta tensors
//   mpi, nccl are not in this version: their folders hold absent.cpp, whose functions say so
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "nn/base/units.h"

namespace retape::parallel {

// Collectives: every rank of the group must call the same ones in the same order with the same sizes. Buffers are host
// memory, and may be null where they hold no byte. A collective has ended on this rank when it returns: its buffers may
// be reused. Where it cannot complete (another rank failed or left, the calls differ, the time is over) it throws
// CommError on every rank that waits in one, and so does every later collective of the job.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Whether the other ranks exist only in a plan, so that nothing can be sent to them.
  virtual bool planned() const { return false; }

  virtual void barrier() = 0;
  // receive: size() * bytes, in rank order. `send` may be this rank's place in it.
  virtual void all_gather(const void* send, void* receive, Bytes bytes) = 0;
  // Gives every rank the data of `root`.
  virtual void broadcast(void* data, Bytes bytes, int root) = 0;
  // In place. Added in rank order: ((v0 + v1) + v2) + ..., the same bits on every rank in every run.
  virtual void all_reduce_sum(float* values, Elems elems) = 0;
  // send: size() * elems_per_rank; receive: the sum, in rank order, of this rank's part. `receive` may be that part.
  virtual void reduce_scatter_sum(const float* send, float* receive, Elems elems_per_rank) = 0;

  // The ranks that pass the same color, in rank order. Collective. With one color for all it makes a duplicate, which
  // another thread of each rank may use. A planned communicator takes all ranks to pass the same color.
  virtual std::unique_ptr<Communicator> split(int color) = 0;

  // Ends the whole job, beyond this group: every rank that waits in or enters a collective throws CommError naming this
  // rank and the reason. Any thread may call it at any time.
  virtual void abort(std::string_view reason) noexcept = 0;
};

// The only rank there is.
std::unique_ptr<Communicator> open_self();

// Has a rank and a size and moves nothing: buffers stay as they are. For meta tensors.
// Throws ConfigError unless 0 <= rank < size.
std::unique_ptr<Communicator> open_planned(int rank, int size);

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
