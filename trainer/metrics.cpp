#include "trainer/metrics.h"

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "data/atomic_file.h"

namespace retape::trainer {
namespace {

using nlohmann::ordered_json;

// The rows that a run which goes on from `first_step` had already written: steps before it, and evaluations up to it.
// A last line that a kill cut short is none of them.
std::string rows_before(const std::filesystem::path& path, std::int64_t first_step) {
  std::ifstream file(path);
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const ordered_json row = ordered_json::parse(line, nullptr, false);
    if (row.is_object() && row.contains("step") && row["step"].is_number_integer()) {
      const auto step = row["step"].get<std::int64_t>();
      if (step < first_step || (step == first_step && row.contains("val_loss"))) {
        kept += line + "\n";
      }
    }
  }
  return kept;
}

ordered_json times_json(const checkpointing::RegionTimes& times) {
  const auto ms = [](std::chrono::nanoseconds time) { return std::chrono::duration<double, std::milli>(time).count(); };
  return {{"forward_ms", ms(times.forward)},   {"recompute_ms", ms(times.recompute)}, {"wait_ms", ms(times.wait)},
          {"backward_ms", ms(times.backward)}, {"gather_ms", ms(times.gather)},       {"copy_ms", ms(times.copy)}};
}

ordered_json profile_json(const checkpointing::Profile& profile) {
  ordered_json json = times_json(profile.total());
  for (const checkpointing::RegionTimes& times : profile.regions()) {
    json["regions"][times.region] = times_json(times);
  }
  return json;
}

}  // namespace

Metrics::Metrics(const std::filesystem::path& out_dir, std::int64_t first_step) : path_(out_dir / "metrics.jsonl") {
  const std::string kept = first_step > 0 ? rows_before(path_, first_step) : std::string();
  data::AtomicFile start(path_);
  start.write(kept);
  start.commit();
  file_.open(path_, std::ios::app);
  require<DataError>(file_.is_open(), "[metrics] {}: cannot be opened: {}", path_.string(), std::strerror(errno));
}

void Metrics::write_step(const StepRow& row, const nn::Parameters* parameters) {
  ordered_json line{{"step", row.step},
                    {"loss", row.result.loss},
                    {"lr", row.result.lr},
                    {"grad_norm", row.result.grad_norm},
                    {"tokens", row.tokens},
                    {"step_ms", row.step_ms},
                    {"tokens_per_s", row.tokens_per_s},
                    {"mfu", row.mfu},
                    {"peak_bytes", row.peak_bytes},
                    {"activation_peak_bytes", row.activation_peak_bytes},
                    {"recompute_ms", std::chrono::duration<double, std::milli>(row.result.work.rebuild_time).count()},
                    {"offload_bytes", row.result.offload_bytes}};
  if (row.result.profile) {
    line["profile"] = profile_json(*row.result.profile);
  }
  if (row.result.grad_hash) {
    line["grad_hash"] = fmt::format("{:016x}", *row.result.grad_hash);
  }
  if (parameters != nullptr) {
    ordered_json& norms = line["grad_norms"];
    for (std::size_t i = 0; i < parameters->size(); ++i) {
      norms[(*parameters)[i]->name()] = row.result.grad_norms[i];
    }
  }
  write_line(line.dump());
}

void Metrics::write_evaluation(std::int64_t steps_done, double val_loss) {
  write_line(ordered_json{{"step", steps_done}, {"val_loss", val_loss}}.dump());
}

void Metrics::write_line(const std::string& line) {
  file_ << line << '\n' << std::flush;
  require<DataError>(file_.good(), "[metrics] {}: cannot be written: {}", path_.string(), std::strerror(errno));
}

}  // namespace retape::trainer
