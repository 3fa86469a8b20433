// What a training would take, before it runs: its memory, what backward needs of a step and what becomes of that, and
// what recompute costs. Nothing is computed: all of it comes from the meta device.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "trainer/config.h"
#include "trainer/memory_plan.h"

namespace retape::trainer {

// The plan of a training that fits. Throws what plan_memory() and require_fit() throw.
MemoryPlan plan_training(const Config& config, std::int64_t vocab);

// The values that backward needs, by the region that reads them first: shape, bytes, whether they are kept, recomputed,
// or where a store has them, and what the region keeps on the device. Regions that look the same are listed once.
// `tensor_ranks` is what partitioned values are cut into.
std::string residual_table(const std::vector<nn::Residual>& residuals, std::int64_t tensor_ranks);

// For reports: every tag under its name.
std::map<std::string, Bytes> bytes_by_tag(const nn::PerTag<Bytes>& bytes);

// Prints the plan for people, or as one JSON object:
//
//   {..., "peak_bytes", "peak_at", "activation_peak_bytes", "activation_peak_at", "reserved_bytes",
//    "by_tag": {tag: bytes at the peak}, "host_peak_bytes", "slab_bytes", "forward_flops", "recompute_flops",
//    "notes": [...], "residuals": [{"region", "name", "op", "shape": [...], "dtype", "bytes", "what"}]}
//
// which begins as every report does (commands/report_header.h). // FLOPs are those of a step, residuals those of a
// micro-step. Returns the exit status.
int print_plan(const Config& config, bool json);

}  // namespace retape::trainer
