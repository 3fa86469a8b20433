// Where the time of a step goes, by region.
//
// Every op is booked once, in the innermost region around it, so that nested regions add up; a merged group is one
// region. Gathers and copies run beside the computation: their times are those of the transfers, `wait` is what the
// computation spent on giving values away and on waiting for them to be back.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "checkpointing/stores/transfer_log.h"
#include "nn/autograd/observer.h"

namespace retape::checkpointing {

struct RegionTimes {
  using Time = std::chrono::nanoseconds;
  std::string region;  // empty: outside all regions
  Time forward{0};
  Time recompute{0};
  Time wait{0};
  Time backward{0};
  Time gather{0};
  Time copy{0};

  RegionTimes& operator+=(const RegionTimes& other);
};

class Profile {
 public:
  void add(const nn::TapeEvent& event);
  void add(const TransferRecord& transfers);
  // Sums another profile into this one.
  void add(const Profile& other);

  // In the order in which regions were first seen.
  const std::vector<RegionTimes>& regions() const { return regions_; }
  RegionTimes total() const;
  // A line for each region and one in total, in milliseconds, divided by `steps`.
  std::string table(std::int64_t steps) const;
  void clear() { regions_.clear(); }

 private:
  RegionTimes& at(std::string_view region);

  std::vector<RegionTimes> regions_;
};

}  // namespace retape::checkpointing
