// What transfers cost, by the region that they served.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "nn/base/units.h"
#include "nn/runtime/stream.h"

namespace retape::checkpointing {

struct TransferRecord {
  std::string region;                  // the region that reads what was moved
  std::chrono::nanoseconds gather{0};  // spent in collectives
  std::chrono::nanoseconds copy{0};    // spent in copies to the host and back
  Bytes offloaded = 0;                 // copied to the host
};

// Work of a side stream, between two points of it.
struct Transfer {
  nn::Event begin;
  nn::Event end;

  // Once it has ended.
  std::chrono::nanoseconds time() const { return nn::Event::between(begin, end); }
};

// Sums over all transfers that somebody waited for. Belongs to the thread that computes.
class TransferLog {
 public:
  void book_gather(std::string_view region, std::chrono::nanoseconds time) { record(region).gather += time; }
  void book_copy(std::string_view region, std::chrono::nanoseconds time) { record(region).copy += time; }
  void book_offloaded(std::string_view region, Bytes bytes) { record(region).offloaded += bytes; }

  // One for each region, in the order of their first transfers.
  const std::vector<TransferRecord>& records() const { return records_; }
  // Their sum, of no region.
  TransferRecord total() const;
  void clear() { records_.clear(); }

 private:
  TransferRecord& record(std::string_view region);

  std::vector<TransferRecord> records_;
};

}  // namespace retape::checkpointing
