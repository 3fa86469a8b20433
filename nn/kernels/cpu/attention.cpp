// Which thread does which head, and in which way.
#include "nn/kernels/attention.h"

#include <omp.h>

#include <algorithm>

#include "nn/kernels/cpu/attention_head.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn::cpu {

namespace attention {

namespace {

// A head's queries are split only where there are too few heads to keep the threads busy, since each part of a head
// packs the keys and values again.
constexpr std::int64_t kTasksPerThread = 4;
constexpr std::int64_t kPartRows = 64;

std::int64_t parts_of_head(const AttentionShape& shape, int threads) {
  const std::int64_t heads = shape.batch * shape.heads;
  const std::int64_t wanted = heads >= kTasksPerThread * threads ? 1 : ceil_div(kTasksPerThread * threads, heads);
  return threads == 1 ? 1 : std::min(wanted, ceil_div(shape.seq_len, kPartRows));
}

}  // namespace

}  // namespace attention

using attention::Head;

Bytes workspace_bytes(Machine& machine, const AttentionForward& kernel) {
  return machine.threads() * attention::portable::scratch_bytes(kernel);
}

void run(Machine& machine, const AttentionForward& kernel) {
  const AttentionShape& shape = kernel.shape;
  const Bytes scratch_bytes = attention::portable::scratch_bytes(kernel);
  const std::int64_t parts = attention::parts_of_head(shape, machine.threads());
  const std::int64_t part_rows = round_up(ceil_div(shape.seq_len, parts), attention::kPartRows);
  // The later parts see more keys: they go first.
#pragma omp parallel for schedule(dynamic) num_threads(machine.threads())
  for (std::int64_t task = 0; task < shape.batch * shape.heads * parts; ++task) {
    const std::int64_t index = task % (shape.batch * shape.heads);
    const std::int64_t begin = (parts - 1 - task / (shape.batch * shape.heads)) * part_rows;
    if (begin < shape.seq_len) {
      attention::portable::forward(kernel, {index / shape.heads, index % shape.heads},
                                   {begin, std::min(begin + part_rows, shape.seq_len)},
                                   static_cast<char*>(kernel.workspace) + omp_get_thread_num() * scratch_bytes);
    }
  }
}

Bytes workspace_bytes(Machine& machine, const AttentionBackward& kernel) {
  return machine.threads() * attention::portable::scratch_bytes(kernel);
}

// dk and dv of a head sum over all its queries; a head is one thread's, so that the order of the sums is fixed.
void run(Machine& machine, const AttentionBackward& kernel) {
  const AttentionShape& shape = kernel.shape;
  const Bytes scratch_bytes = attention::portable::scratch_bytes(kernel);
#pragma omp parallel for schedule(dynamic) num_threads(machine.threads())
  for (std::int64_t index = 0; index < shape.batch * shape.heads; ++index) {
    attention::portable::backward(kernel, {index / shape.heads, index % shape.heads},
                                  static_cast<char*>(kernel.workspace) + omp_get_thread_num() * scratch_bytes);
  }
}

}  // namespace retape::nn::cpu
