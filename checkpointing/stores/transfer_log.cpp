#include "checkpointing/stores/transfer_log.h"

#include <algorithm>

namespace retape::checkpointing {

TransferRecord TransferLog::total() const {
  TransferRecord sum;
  for (const TransferRecord& record : records_) {
    sum.gather += record.gather;
    sum.copy += record.copy;
    sum.offloaded += record.offloaded;
  }
  return sum;
}

TransferRecord& TransferLog::record(std::string_view region) {
  const auto known =
      std::find_if(records_.begin(), records_.end(), [&](const TransferRecord& r) { return r.region == region; });
  if (known != records_.end()) {
    return *known;
  }
  return records_.emplace_back(TransferRecord{.region = std::string(region)});
}

}  // namespace retape::checkpointing
