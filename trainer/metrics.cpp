#include "trainer/metrics.h"

#include <utility>

namespace retape::trainer {
namespace {

using nlohmann::ordered_json;

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

Metrics::Metrics(const MetricsStart& start, MetricsFile::Warn warn)
    : file_(start.path, start.earlier, std::move(warn)), resumed_(start.resumed), started_(start.time) {}

void Metrics::write_step(const StepRow& row, const nn::Parameters* parameters) {
  ordered_json line{{"loss", row.result.loss},
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
  write_row(row.step, std::move(line));
}

void Metrics::write_evaluation(std::int64_t steps_done, double val_loss) {
  write_row(steps_done, {{"val_loss", val_loss}});
}

void Metrics::write_row(std::int64_t step, ordered_json values) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started_;
  ordered_json row{{"step", step}, {"time", now.count()}, {"elapsed_s", elapsed.count()}};
  row.update(values);
  if (std::exchange(resumed_, false)) {
    row["resumed"] = true;
  }
  file_.append(row.dump());
}

}  // namespace retape::trainer
