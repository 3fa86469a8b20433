#include "trainer/checkpoint_files.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <system_error>
#include <tuple>
#include <utility>

#include "data/atomic_file.h"
#include "data/files/checksum.h"
#include "data/files/folder_lock.h"
#include "data/files/input_file.h"
#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::trainer {
namespace {

using nlohmann::json;

constexpr std::string_view kChecksums = "__checksums__";
constexpr const char* kMetadataKey = "retape_checkpoint";
// Goes up when the same bytes come to mean something else. 2: random order in steps of the golden section, and a count
// of tokens.
constexpr std::int64_t kVersion = 2;
// More steps, and more saves, than any run takes; what is read below it overflows nowhere.
constexpr std::int64_t kMost = std::int64_t{1} << 50;

// --- Names of files ------------------------------------------------------------------------------------------------

constexpr std::string_view kSave = "save-";
constexpr std::string_view kStep = "-step-";
constexpr std::string_view kExtension = ".safetensors";

std::string file_name(std::int64_t save, std::int64_t step) {
  return fmt::format("{}{:06}{}{:08}{}", kSave, save, kStep, step, kExtension);
}

// The number between `before` and `after`.
std::optional<std::int64_t> number_between(std::string_view text, std::string_view before, std::string_view after) {
  if (!text.starts_with(before) || !text.ends_with(after) || text.size() <= before.size() + after.size()) {
    return std::nullopt;
  }
  text = text.substr(before.size(), text.size() - before.size() - after.size());
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 0 || number > kMost) {
    return std::nullopt;
  }
  return number;
}

std::optional<CheckpointEntry> parse_name(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const std::size_t middle = std::min(name.find(kStep), name.size());
  const auto save = number_between(name.substr(0, middle), kSave, "");
  const auto step = number_between(name.substr(middle), kStep, kExtension);
  if (!save || !step) {
    return std::nullopt;
  }
  return CheckpointEntry{.save = *save, .step = *step, .path = path};
}

// What in the folder is named like a checkpoint, be it a file or not, the newest first.
std::vector<CheckpointEntry> list_names(const std::filesystem::path& directory) {
  std::vector<CheckpointEntry> entries;
  std::error_code error;
  for (std::filesystem::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (auto entry = parse_name(at->path())) {
      entries.push_back(*std::move(entry));
    }
  }
  const bool absent = error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  require<DataError>(!error || absent, "[checkpoint] {}: cannot list the folder: {}", directory.string(),
                     error.message());
  std::sort(entries.begin(), entries.end(), [](const CheckpointEntry& a, const CheckpointEntry& b) {
    return std::tuple(a.save, a.step) > std::tuple(b.save, b.step);
  });
  return entries;
}

// --- Writing -------------------------------------------------------------------------------------------------------

// The checksum of the header, then of each tensor.
class ChecksumTable {
 public:
  explicit ChecksumTable(std::size_t tensors) : sums_(1 + tensors) {}

  void set(std::size_t row, std::span<const std::byte> bytes) { sums_[row] = data::checksum(bytes); }

  // Its place in the header does not depend on the values, which are known only when everything else is written.
  NamedBytes as_tensor() const {
    return {.name = std::string(kChecksums),
            .dtype = "U64",
            .shape = {static_cast<std::int64_t>(sums_.size())},
            .bytes = std::as_bytes(std::span(sums_))};
  }

 private:
  std::vector<std::uint64_t> sums_;
};

void write_checkpoint(const std::filesystem::path& path, const std::string& description,
                      std::span<const NamedBytes> tensors) {
  ChecksumTable table(tensors.size());
  std::vector<NamedBytes> all(tensors.begin(), tensors.end());
  all.push_back(table.as_tensor());
  const std::string header = safetensors_header(path, all, {{kMetadataKey, description}});

  data::AtomicFile file(path);
  file.write(header);
  table.set(0, std::as_bytes(std::span(header)));
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    file.write(tensors[i].bytes);
    table.set(1 + i, tensors[i].bytes);
  }
  file.write(all.back().bytes);
  file.commit();
}

std::string describe(const std::filesystem::path& path, std::int64_t step, const json& state) {
  try {
    return json{{"version", kVersion}, {"step", step}, {"state", state}}.dump();
  } catch (const json::type_error&) {
    fail<DataError>("[checkpoint] {}: expected the state in UTF-8", path.string());
  }
}

void make_directory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  require<DataError>(!error, "[checkpoint] {}: cannot make the folder: {}", directory.string(), error.message());
}

// What killed saves left, also those of earlier versions, which wrote to "save-...safetensors.tmp.PID.N".
void remove_unfinished(const std::filesystem::path& directory) {
  data::remove_stale_temporaries(directory);
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const std::size_t end = std::min(name.rfind(".tmp."), name.size());
    if (end < name.size() && parse_name(name.substr(0, end)) && entry.is_regular_file()) {
      std::error_code gone;
      std::filesystem::remove(entry.path(), gone);
    }
  }
}

// Those that are not whole go first and do not count. None goes while somebody opens one of them: the next save sees to
// it.
void remove_all_but(std::int64_t keep_last, const std::filesystem::path& directory,
                    std::span<const std::filesystem::path> not_whole) {
  const std::optional<data::FolderLock> lock = data::FolderLock::alone(directory);
  if (!lock) {
    return;
  }
  std::vector<CheckpointEntry> entries = list_checkpoints(directory);
  const auto whole_end = std::stable_partition(entries.begin(), entries.end(), [&](const CheckpointEntry& entry) {
    return std::find(not_whole.begin(), not_whole.end(), entry.path) == not_whole.end();
  });
  const auto staying = static_cast<std::size_t>(std::min<std::int64_t>(keep_last, whole_end - entries.begin()));
  for (; entries.size() > staying; entries.pop_back()) {
    std::error_code error;
    std::filesystem::remove(entries.back().path, error);
    require<DataError>(!error, "[checkpoint] {}: cannot remove an old checkpoint: {}", entries.back().path.string(),
                       error.message());
  }
}

// The number of the next save: above every other, so that the file's name is free, also of what is no file.
std::int64_t next_save(const std::filesystem::path& directory) {
  const std::vector<CheckpointEntry> names = list_names(directory);
  if (names.empty()) {
    return 1;
  }
  require<DataError>(names.front().save < kMost, "[checkpoint] {}: no save can follow one of this number; move it away",
                     names.front().path.string());
  return names.front().save + 1;
}

}  // namespace

void probe_checkpoint_directory(const std::filesystem::path& directory) {
  make_directory(directory);
  next_save(directory);
  remove_unfinished(directory);
  const data::AtomicFile probe(directory / "save-probe");  // never committed
}

std::filesystem::path save_checkpoint(const std::filesystem::path& directory, std::int64_t step, const json& state,
                                      std::span<const NamedBytes> tensors, std::int64_t keep_last,
                                      std::span<const std::filesystem::path> not_whole) {
  require<DataError>(step >= 0, "[checkpoint] {}: step: expected at least 0, got {}", directory.string(), step);
  require<DataError>(step <= kMost, "[checkpoint] {}: step: expected at most {}, got {}", directory.string(), kMost,
                     step);
  require<DataError>(keep_last >= 1, "[checkpoint] {}: keep_last: expected at least 1, got {}", directory.string(),
                     keep_last);
  make_directory(directory);
  remove_unfinished(directory);
  std::filesystem::path path = directory / file_name(next_save(directory), step);
  write_checkpoint(path, describe(path, step, state), tensors);
  remove_all_but(keep_last, directory, not_whole);
  return path;
}

// --- Reading -------------------------------------------------------------------------------------------------------

Checkpoint::Checkpoint(std::filesystem::path path) : file_(std::move(path)) {
  const auto description = file_.metadata().find(kMetadataKey);
  require<DataError>(description != file_.metadata().end() && file_.has(kChecksums),
                     "[checkpoint] {}: expected a checkpoint of Retape; its metadata or checksums are missing",
                     this->path().string());
  verify_checksums();
  const std::string place = fmt::format("[checkpoint] {}: ", this->path().string());
  json parsed = data::parse_json(description->second, place + kMetadataKey);
  require<DataError>(parsed.is_object() && parsed.contains("version") && parsed.contains("step") &&
                         parsed.contains("state") && parsed.at("state").is_object(),
                     "{}{}: expected a version, a step and a state, got {}", place, kMetadataKey, data::shown(parsed));
  const json& version = parsed.at("version");
  require(version == kVersion, "{}version: expected {}, got {}", place, kVersion, data::shown(version));
  step_ = data::integer_of(parsed.at("step"), place + "step", 0, kMost);
  state_ = std::move(parsed.at("state"));
}

std::span<const StoredTensor> Checkpoint::tensors() const {
  return std::span(file_.tensors()).first(file_.tensors().size() - 1);
}

void Checkpoint::verify_checksums() const {
  const StoredTensor& table = file_.tensors().back();
  const std::vector<std::int64_t> shape{static_cast<std::int64_t>(file_.tensors().size())};
  require<DataError>(table.name == kChecksums && table.dtype == "U64" && table.shape == shape,
                     "[checkpoint] {}: expected {} U64 checksums as the last tensor, got something else",
                     path().string(), shape[0]);
  const std::vector<std::byte> sums = file_.read(table);
  const auto verify = [&](std::size_t row, std::uint64_t found, std::string_view what) {
    std::uint64_t expected = 0;
    std::memcpy(&expected, sums.data() + row * sizeof expected, sizeof expected);
    require<DataError>(found == expected, "[checkpoint] {}: {}: expected checksum {:016x}, got {:016x}: it is corrupt",
                       path().string(), what, expected, found);
  };
  verify(0, data::checksum(std::as_bytes(std::span(file_.header()))), "header");
  for (std::size_t i = 0; i < tensors().size(); ++i) {
    const StoredTensor& tensor = tensors()[i];
    data::Checksum sum;
    file_.visit(tensor, tensor.bytes, [&sum](Bytes /*offset*/, std::span<const std::byte> piece) { sum.add(piece); });
    verify(1 + i, sum.value(), tensor.name);
  }
}

std::vector<CheckpointEntry> list_checkpoints(const std::filesystem::path& directory) {
  std::vector<CheckpointEntry> entries = list_names(directory);
  std::error_code ignored;
  std::erase_if(entries,
                [&](const CheckpointEntry& entry) { return !std::filesystem::is_regular_file(entry.path, ignored); });
  return entries;
}

namespace {

// What cannot be read now may be good; what was read, or is empty, and did not verify is not.
bool was_read(const std::filesystem::path& path) {
  try {
    const data::InputFile file(path);
    return true;
  } catch (const DataError&) {
    std::error_code error;
    return std::filesystem::file_size(path, error) == 0 && !error;
  }
}

}  // namespace

LatestCheckpoint open_latest_checkpoint(const std::filesystem::path& directory) {
  const data::FolderLock lock = data::FolderLock::together(directory);  // what is listed stays until it is open
  LatestCheckpoint latest;
  for (const CheckpointEntry& entry : list_checkpoints(directory)) {
    try {
      latest.checkpoint.emplace(entry.path);
      return latest;
    } catch (const DataError& error) {
      latest.warnings.emplace_back(error.what());
      if (was_read(entry.path)) {
        latest.not_whole.push_back(entry.path);
      }
    }
  }
  require<DataError>(latest.warnings.empty(), "[checkpoint] {}: none of the {} checkpoints is whole; the newest: {}",
                     directory.string(), latest.warnings.size(),
                     Whole{latest.warnings.empty() ? std::string_view() : latest.warnings.front()});
  return latest;
}

}  // namespace retape::trainer
