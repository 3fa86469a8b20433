#include "checkpointing/profile.h"

#include <fmt/format.h>

#include <algorithm>

namespace retape::checkpointing {
namespace {

std::string line(std::string_view name, const RegionTimes& times, double steps) {
  const auto ms = [steps](RegionTimes::Time time) {
    return std::chrono::duration<double, std::milli>(time).count() / steps;
  };
  return fmt::format("{:<16}{:>10.3f}{:>11.3f}{:>10.3f}{:>10.3f}{:>10.3f}{:>10.3f}\n", name, ms(times.forward),
                     ms(times.recompute), ms(times.wait), ms(times.backward), ms(times.gather), ms(times.copy));
}

}  // namespace

RegionTimes& RegionTimes::operator+=(const RegionTimes& other) {
  forward += other.forward;
  recompute += other.recompute;
  wait += other.wait;
  backward += other.backward;
  gather += other.gather;
  copy += other.copy;
  return *this;
}

void Profile::add(const nn::TapeEvent& event) {
  using Work = nn::TapeEvent::Work;
  RegionTimes& times = at(event.region->name);
  switch (event.work) {
    case Work::forward: times.forward += event.time; return;
    case Work::rebuild: times.recompute += event.time; return;
    case Work::save:
    case Work::fetch: times.wait += event.time; return;
    case Work::backward: times.backward += event.time; return;
  }
}

void Profile::add(const TransferRecord& transfers) {
  RegionTimes& times = at(transfers.region);
  times.gather += transfers.gather;
  times.copy += transfers.copy;
}

void Profile::add(const Profile& other) {
  for (const RegionTimes& times : other.regions_) {
    at(times.region) += times;
  }
}

RegionTimes Profile::total() const {
  RegionTimes total;
  for (const RegionTimes& times : regions_) {
    total += times;
  }
  return total;
}

std::string Profile::table(std::int64_t steps) const {
  const auto count = static_cast<double>(steps);
  std::string table = fmt::format("{:<16}{:>10}{:>11}{:>10}{:>10}{:>10}{:>10}\n", "ms per step", "forward", "recompute",
                                  "wait", "backward", "gather", "copy");
  for (const RegionTimes& times : regions_) {
    table += line(times.region.empty() ? "outside" : times.region, times, count);
  }
  return table + line("total", total(), count);
}

RegionTimes& Profile::at(std::string_view region) {
  const auto found = std::find_if(regions_.begin(), regions_.end(),
                                  [region](const RegionTimes& times) { return times.region == region; });
  if (found != regions_.end()) {
    return *found;
  }
  regions_.push_back({.region = std::string(region)});
  return regions_.back();
}

}  // namespace retape::checkpointing
