// What a report is about: a file of numbers tells by itself of which run, on which machine and when.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "trainer/config.h"

namespace retape::trainer {

// {"model": {"layers", "heads", "dim", "vocab"}, "batch_size", "grad_accum", "seq_len", "dtype", "threads", "machine",
//  "version", "date"}: the date in UTC, the machine as its processor.
nlohmann::ordered_json report_header(const Config& config, std::int64_t vocab);

// The same in two lines for people.
std::string describe(const nlohmann::ordered_json& report_header);

// The processor's name.
std::string machine_name();

}  // namespace retape::trainer
