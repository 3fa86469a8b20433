// Which thread does which head, and in which way.
#include "nn/kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <optional>

#include "nn/kernels/cpu/amx_gemm.h"
#include "nn/kernels/cpu/attention_head.h"
#include "nn/kernels/cpu/implement.h"
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
  const std::int64_t wanted = threads == 1 ? 1 : ceil_div(kTasksPerThread * threads, heads);
  return std::min(wanted, ceil_div(shape.seq_len, kPartRows));
}

// Forward does the parts of each head, backward whole heads.
std::int64_t tasks_of(const AttentionForward& kernel, int threads) {
  return kernel.shape.batch * kernel.shape.heads * parts_of_head(kernel.shape, threads);
}
std::int64_t tasks_of(const AttentionBackward& kernel, int /*threads*/) {
  return kernel.shape.batch * kernel.shape.heads;
}

bool on_tiles(Machine& machine, const AttentionShape& shape) {
  return shape.dtype == DType::bf16 && machine.cached<bool>("amx", amx_permitted);
}

template <class Kernel>
Bytes scratch_bytes(Machine& machine, const Kernel& kernel) {
  return on_tiles(machine, kernel.shape) ? amx::scratch_bytes(kernel) : portable::scratch_bytes(kernel);
}

// One scratch for each thread, or for each task where there are fewer.
template <class Kernel>
Bytes workspace_of(Machine& machine, const Kernel& kernel) {
  const std::int64_t tasks = tasks_of(kernel, machine.threads());
  return std::min<std::int64_t>(machine.threads(), tasks) * scratch_bytes(machine, kernel);
}

// Calls task(index, scratch) for each task of the kernel, on all threads. Which thread runs a task changes from run to
// run, what it computes does not.
template <class Kernel, class Task>
void for_each_task(Machine& machine, const Kernel& kernel, bool tiles, const Task& task) {
  const int threads = machine.threads();
  const std::int64_t tasks = tasks_of(kernel, threads);
  const Bytes bytes = scratch_bytes(machine, kernel);
  const Team team(threads);
#pragma omp parallel num_threads(threads)
  {
    std::optional<AmxTiles> registers;
    if (tiles) {
      registers.emplace();
    }
#pragma omp for schedule(dynamic)
    for (std::int64_t index = 0; index < tasks; ++index) {
      const std::int64_t scratch = tasks < threads ? index : omp_get_thread_num();
      task(index, static_cast<char*>(kernel.workspace) + scratch * bytes);
    }
  }
}

}  // namespace

}  // namespace attention

Bytes workspace_bytes(Machine& machine, const AttentionForward& kernel) {
  return attention::workspace_of(machine, kernel);
}

void run(Machine& machine, const AttentionForward& kernel) {
  const AttentionShape& shape = kernel.shape;
  const bool tiles = attention::on_tiles(machine, shape);
  const std::int64_t heads = shape.batch * shape.heads;
  const std::int64_t parts = attention::parts_of_head(shape, machine.threads());
  const std::int64_t part_rows = round_up(ceil_div(shape.seq_len, parts), attention::kPartRows);
  const auto task = [&](std::int64_t index, void* scratch) {
    const attention::Head head{index % heads / shape.heads, index % shape.heads};
    // The later parts see more keys: they go first.
    const std::int64_t begin = (parts - 1 - index / heads) * part_rows;
    if (begin < shape.seq_len) {
      const attention::QueryRange queries{begin, std::min(begin + part_rows, shape.seq_len)};
      (tiles ? attention::amx::forward : attention::portable::forward)(kernel, head, queries, scratch);
    }
  };
  attention::for_each_task(machine, kernel, tiles, task);
}

Bytes workspace_bytes(Machine& machine, const AttentionBackward& kernel) {
  return attention::workspace_of(machine, kernel);
}

// dk and dv of a head sum over all its queries; a head is one thread's, so that the order of the sums is fixed.
void run(Machine& machine, const AttentionBackward& kernel) {
  const AttentionShape& shape = kernel.shape;
  const bool tiles = attention::on_tiles(machine, shape);
  const auto task = [&](std::int64_t index, void* scratch) {
    const attention::Head head{index / shape.heads, index % shape.heads};
    (tiles ? static_cast<void (*)(const AttentionBackward&, attention::Head, void*)>(attention::amx::backward)
           : attention::portable::backward)(kernel, head, scratch);
  };
  attention::for_each_task(machine, kernel, tiles, task);
}

template Bytes workspace_of_kernel(Machine&, const AttentionForward&);
template void run_kernel(Machine&, const AttentionForward&);
template Bytes workspace_of_kernel(Machine&, const AttentionBackward&);
template void run_kernel(Machine&, const AttentionBackward&);

}  // namespace retape::nn::cpu
