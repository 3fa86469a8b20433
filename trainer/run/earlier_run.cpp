#include "trainer/run/earlier_run.h"

#include <chrono>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "data/files/folder_lock.h"
#include "nn/base/error.h"
#include "trainer/run/run_folder.h"
#include "trainer/run/settings_file.h"

namespace retape::trainer {
namespace {

bool has_metrics(const std::filesystem::path& out_dir) {
  std::error_code absent;
  const auto bytes = std::filesystem::file_size(metrics_in(out_dir), absent);
  return !absent && bytes > 0;
}

void move(const std::filesystem::path& from, const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::rename(from, folder / from.filename(), error);
  require<DataError>(!error, "[run] {}: cannot be moved to {}: {}", from.string(), folder.string(), error.message());
}

// Who opens checkpoints has listed them under their names. That does not take long, but a process may be stopped.
std::optional<data::FolderLock> lock_checkpoints(const std::filesystem::path& out_dir) {
  constexpr int kAttempts = 100;
  constexpr std::chrono::milliseconds kPause{10};
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (auto lock = data::FolderLock::alone(checkpoints_in(out_dir))) {
      return lock;
    }
    std::this_thread::sleep_for(kPause);
  }
  fail<DataError>("[run] {}: is being opened by another process and cannot be moved", checkpoints_in(out_dir).string());
}

std::filesystem::path make_folder(const std::filesystem::path& out_dir) {
  for (int n = 1;; ++n) {
    const std::filesystem::path folder = out_dir / fmt::format("before-{}", n);
    std::error_code error;
    if (std::filesystem::create_directory(folder, error)) {
      return folder;
    }
    require<DataError>(!error || error == std::errc::file_exists, "[run] {}: cannot be made: {}", folder.string(),
                       error.message());
  }
}

}  // namespace

void require_movable(const std::filesystem::path& out_dir) {
  // A link would be moved without what it leads to, and a relative one would lead elsewhere.
  const auto require_no_link = [](bool moves, const std::filesystem::path& path) {
    std::error_code absent;
    require<DataError>(
        !moves || !std::filesystem::is_symlink(path, absent),
        "[run] {}: a link does not make room for another run; move it yourself, or set another run.out_dir",
        path.string());
  };
  require_no_link(has_checkpoints(out_dir), checkpoints_in(out_dir));
  require_no_link(has_metrics(out_dir), metrics_in(out_dir));
}

std::filesystem::path move_earlier_run(const std::filesystem::path& out_dir, const std::filesystem::path& read) {
  const bool metrics = has_metrics(out_dir);
  const bool checkpoints = has_checkpoints(out_dir);
  if (!metrics && !checkpoints) {
    return {};
  }
  const std::optional<data::FolderLock> lock = lock_checkpoints(out_dir);
  const std::vector<std::filesystem::path> settings = settings_of_run(out_dir, read);
  const std::filesystem::path folder = make_folder(out_dir);
  if (metrics) {
    move(metrics_in(out_dir), folder);
  }
  for (const std::filesystem::path& file : settings) {
    move(file, folder);
  }
  if (checkpoints) {
    move(checkpoints_in(out_dir), folder);
  }
  return folder;
}

}  // namespace retape::trainer
