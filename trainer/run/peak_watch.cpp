#include "trainer/run/peak_watch.h"

#include <fmt/format.h>

#include <utility>

namespace retape::trainer {
namespace {

std::string_view name(nn::TapeEvent::Work work) {
  switch (work) {
    case nn::TapeEvent::Work::forward: return "forward";
    case nn::TapeEvent::Work::save: return "save";
    case nn::TapeEvent::Work::rebuild: return "rebuild";
    case nn::TapeEvent::Work::fetch: return "fetch";
    case nn::TapeEvent::Work::backward: return "backward";
  }
  return "?";
}

}  // namespace

void PeakWatch::on_event(const nn::TapeEvent& event) {
  if (grew()) {
    const std::string& region = event.region->name;
    note(fmt::format("{} of {}{}{}", name(event.work), event.op, region.empty() ? "" : ", ", region));
  }
}

void PeakWatch::passed(std::string_view what) {
  if (grew()) {
    note(std::string(what));
  }
}

bool PeakWatch::grew() const {
  const nn::MemoryStats& stats = memory_.stats();
  return stats.peak > peak_bytes_ || stats.activation_peak > activation_peak_bytes_;
}

void PeakWatch::note(const std::string& where) {
  const nn::MemoryStats& stats = memory_.stats();
  if (std::exchange(peak_bytes_, stats.peak) < stats.peak) {
    peak_ = where;
  }
  if (std::exchange(activation_peak_bytes_, stats.activation_peak) < stats.activation_peak) {
    activation_peak_ = where;
  }
}

}  // namespace retape::trainer
