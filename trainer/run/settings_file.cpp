#include "trainer/run/settings_file.h"

#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include "data/atomic_file.h"
#include "data/files/checksum.h"
#include "data/files/read_text.h"
#include "nn/base/error.h"
#include "trainer/config_writer.h"
#include "trainer/run/run_folder.h"

namespace retape::trainer {
namespace {

constexpr std::string_view kUsual = "config.toml";
constexpr std::string_view kInstead = "settings.toml";
// What earlier versions began with.
constexpr std::string_view kFormerBeginning = "# Every setting in force, defaults included.\n\n[run]\n";

std::string first_line(std::string_view settings) {
  return fmt::format("# retape {:016x}: written by a run; once edited it is yours, and left alone\n",
                     data::checksum(std::as_bytes(std::span(settings))));
}

// Empty where there is no file that can be read, or one too large to be of settings.
std::string contents(const std::filesystem::path& file) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  try {
    return data::read_text(file, kMostBytes);
  } catch (const DataError&) {
    return {};
  }
}

bool is_marked(std::string_view text) {
  const std::size_t end = text.find('\n');
  return end != std::string_view::npos && text.substr(0, end + 1) == first_line(text.substr(end + 1));
}

// A link may lead to the settings of another run.
bool is_of_run(const std::filesystem::path& out_dir, std::string_view name) {
  std::error_code ignored;
  if (std::filesystem::is_symlink(out_dir / name, ignored)) {
    return false;
  }
  const std::string text = contents(out_dir / name);
  return is_marked(text) || (name == kUsual && text.starts_with(kFormerBeginning) && has_checkpoints(out_dir));
}

bool is_there(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(file, ignored));
}

}  // namespace

bool has_run(const std::filesystem::path& out_dir) {
  return has_checkpoints(out_dir) || is_marked(contents(out_dir / kInstead)) || is_marked(contents(out_dir / kUsual)) ||
         contents(out_dir / kUsual).starts_with(kFormerBeginning);
}

SettingsPlace place_settings(const std::filesystem::path& out_dir, const std::filesystem::path& read, bool force) {
  const std::filesystem::path usual = out_dir / kUsual;
  const std::filesystem::path instead = out_dir / kInstead;
  std::error_code ignored;
  const bool is_read = std::filesystem::equivalent(usual, read, ignored);
  if (!is_there(usual) || (!is_read && is_of_run(out_dir, kUsual))) {
    return {.file = usual, .note = {}};
  }
  const char* why = is_read ? "is what the settings were read from" : "was not written by a run, or was edited since";
  require<DataError>(!std::filesystem::equivalent(instead, read, ignored),
                     "[run] {}: the settings were read from it, and {} {}", instead.string(), usual.string(), why);
  require<DataError>(force || !is_there(instead) || is_of_run(out_dir, kInstead),
                     "[run] {}: expected a file that a run wrote, got another, and {} {}; --force replaces it",
                     instead.string(), usual.string(), why);
  return {.file = instead,
          .note = fmt::format("{} {}; the settings in force are in {}", usual.string(), why, instead.string())};
}

void write_settings(const SettingsPlace& place, const Config& config) {
  const std::string settings = to_toml(config);
  data::AtomicFile file(place.file);
  file.write(first_line(settings) + settings);
  file.commit();
  if (place.file.filename() == kUsual && is_of_run(place.file.parent_path(), kInstead)) {
    std::error_code ignored;  // it is only older
    std::filesystem::remove(place.file.parent_path() / kInstead, ignored);
  }
}

std::vector<std::filesystem::path> settings_of_run(const std::filesystem::path& out_dir,
                                                   const std::filesystem::path& read) {
  std::vector<std::filesystem::path> files;
  for (const std::string_view name : {kUsual, kInstead}) {
    std::error_code ignored;
    if (is_of_run(out_dir, name) && !std::filesystem::equivalent(out_dir / name, read, ignored)) {
      files.push_back(out_dir / name);
    }
  }
  return files;
}

}  // namespace retape::trainer
