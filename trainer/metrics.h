// out_dir/metrics.jsonl: an object per step and per evaluation.
//
//   {"step": 0, "loss": ..., "lr": ..., "grad_norm": ..., "tokens": ..., "step_ms": ..., "tokens_per_s": ...,
//    "mfu": ..., "peak_bytes": ..., "activation_peak_bytes": ..., "recompute_ms": ..., "offload_bytes": ...}
//   {"step": 200, "val_loss": ...}
//
// A step's number counts from 0, an evaluation's says how many steps were done, as all messages to users do. Besides:
// "grad_hash", "grad_norms" (before clipping, by Hugging Face name) and "profile" (times of the step by region)
// where the run asks for them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "nn/layers/parameter.h"
#include "trainer/learner.h"

namespace retape::trainer {

struct StepRow {
  std::int64_t step = 0;  // counts from 0
  StepResult result;
  std::int64_t tokens = 0;  // trained on so far, this step included
  double step_ms = 0;
  double tokens_per_s = 0;
  double mfu = 0;  // model FLOPs per second over the machine's peak
  Bytes peak_bytes = 0;
  Bytes activation_peak_bytes = 0;
};

class Metrics {
 public:
  // Keeps the rows before `first_step` of an earlier part of the run; a run from the start begins an empty file.
  Metrics(const std::filesystem::path& out_dir, std::int64_t first_step);

  // `parameters` name the norms; null leaves them out.
  void write_step(const StepRow& row, const nn::Parameters* parameters);
  // After `steps_done` steps.
  void write_evaluation(std::int64_t steps_done, double val_loss);

 private:
  void write_line(const std::string& line);

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace retape::trainer
