// out_dir/metrics.jsonl: an object per step and per evaluation.
//
//   {"step": 0, "time": ..., "elapsed_s": ..., "loss": ..., "lr": ..., "grad_norm": ..., "tokens": ..., "step_ms": ...,
//    "tokens_per_s": ..., "mfu": ..., "peak_bytes": ..., "activation_peak_bytes": ..., "recompute_ms": ...,
//    "offload_bytes": ...}
//   {"step": 200, "time": ..., "elapsed_s": ..., "val_loss": ...}
//
// "step" is the number of updates that the weights had seen: the loss of a step and that of an evaluation at the same
// number are of the same weights. "time" is in seconds since 1970, "elapsed_s" since this start of the program. The
// first row after a run went on has "resumed": true. Besides: "grad_hash", "grad_norms" (before clipping, by Hugging
// Face name) and "profile" (times of the step by region) where the run asks for them.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "nn/layers/parameter.h"
#include "trainer/learner.h"
#include "trainer/run/metrics_file.h"

namespace retape::trainer {

struct StepRow {
  std::int64_t step = 0;  // updates done before it
  StepResult result;
  std::int64_t tokens = 0;  // trained on so far, this step included
  double step_ms = 0;
  double tokens_per_s = 0;
  double mfu = 0;  // model FLOPs per second over the machine's peak
  Bytes peak_bytes = 0;
  Bytes activation_peak_bytes = 0;
};

struct MetricsStart {
  std::filesystem::path path;
  std::string earlier;   // the rows of an earlier part of the run, which stay
  bool resumed = false;  // whether there was one
  std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now();  // of the program's start
};

class Metrics {
 public:
  // What MetricsFile throws and warns of.
  Metrics(const MetricsStart& start, MetricsFile::Warn warn);

  // `parameters` name the norms; null leaves them out.
  void write_step(const StepRow& row, const nn::Parameters* parameters);
  // After `steps_done` steps.
  void write_evaluation(std::int64_t steps_done, double val_loss);
  // Waits until all rows are on the disk.
  void sync() { file_.sync(); }

 private:
  void write_row(std::int64_t step, nlohmann::ordered_json values);

  MetricsFile file_;
  bool resumed_;  // and no row has said so yet
  std::chrono::steady_clock::time_point started_;
};

}  // namespace retape::trainer
