#include "trainer/commands/report_header.h"

#include <fmt/format.h>

#include <ctime>
#include <fstream>

#include "nn/base/version.h"
#include "nn/runtime/cpu/team.h"

namespace retape::trainer {
namespace {

std::string now() {
  const std::time_t time = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace

nlohmann::ordered_json report_header(const Config& config, std::int64_t vocab) {
  const Config::Model& model = config.model;
  return {{"model", {{"layers", model.layers}, {"heads", model.heads}, {"dim", model.dim}, {"vocab", vocab}}},
          {"batch_size", config.train.batch_size},
          {"grad_accum", config.train.grad_accum},
          {"seq_len", model.seq_len},
          {"dtype", nn::name(model.dtype)},
          {"threads", nn::cpu::grant_threads(static_cast<int>(config.run.threads)).threads},
          {"machine", machine_name()},
          {"version", kVersion},
          {"date", now()}};
}

std::string describe(const nlohmann::ordered_json& header) {
  const nlohmann::ordered_json& model = header.at("model");
  const auto number = [](const nlohmann::ordered_json& value) { return value.get<std::int64_t>(); };
  const auto text = [](const nlohmann::ordered_json& value) { return value.get<std::string>(); };
  return fmt::format(
      "{} layers, {} heads, dim {}, vocabulary {}; {} x {} x {} tokens a step, {}\nretape {}, {}, {} threads, {}",
      number(model.at("layers")), number(model.at("heads")), number(model.at("dim")), number(model.at("vocab")),
      number(header.at("grad_accum")), number(header.at("batch_size")), number(header.at("seq_len")),
      text(header.at("dtype")), text(header.at("version")), text(header.at("machine")), number(header.at("threads")),
      text(header.at("date")));
}

std::string machine_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown processor";
}

}  // namespace retape::trainer
