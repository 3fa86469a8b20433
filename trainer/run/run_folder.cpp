#include "trainer/run/run_folder.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "data/atomic_file.h"
#include "nn/base/error.h"
#include "trainer/checkpoint_files.h"

namespace retape::trainer {
namespace {

// Where a folder that is open lies now; empty where it was removed.
std::string present_path(const data::FileDescriptor& folder) {
  struct stat status {};
  std::error_code ignored;
  const bool is_there = ::fstat(folder.get(), &status) == 0 && status.st_nlink > 0;
  return is_there ? std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", folder.get()), ignored).string()
                  : std::string();
}

}  // namespace

std::filesystem::path checkpoints_in(const std::filesystem::path& out_dir) {
  return out_dir / "checkpoints";
}

std::filesystem::path metrics_in(const std::filesystem::path& out_dir) {
  return out_dir / "metrics.jsonl";
}

bool has_checkpoints(const std::filesystem::path& out_dir) {
  return !list_checkpoints(checkpoints_in(out_dir)).empty();
}

RunFolder::RunFolder(std::filesystem::path path) : path_(std::move(path)) {
  std::error_code absent;
  if (std::filesystem::is_directory(path_, absent)) {
    take_lock();
  }
}

void RunFolder::make() {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  require<DataError>(!error, "[run] out_dir: {} cannot be made: {}", path_.string(), error.message());
  if (!lock_) {
    take_lock();
  }
  data::remove_stale_temporaries(path_);
  folder_ = data::FileDescriptor(path_, O_RDONLY | O_DIRECTORY, "open the folder");
}

void RunFolder::take_lock() {
  lock_.emplace(path_ / ".retape.lock");
  data::require_not_held(path_ / "lock");
}

void RunFolder::require_in_place(std::string_view lost) const {
  struct stat own {};
  struct stat found {};
  if (::fstat(folder_.get(), &own) == 0 && ::stat(path_.c_str(), &found) == 0 && own.st_dev == found.st_dev &&
      own.st_ino == found.st_ino) {
    return;
  }
  const std::string now = present_path(folder_);
  if (now.empty()) {
    fail<DataError>("[run] {}: the folder was removed while the run worked in it; lost: all that it held, and {}",
                    path_.string(), lost);
  }
  fail<DataError>("[run] {}: the folder was renamed to {} while the run worked in it; lost: {}", path_.string(), now,
                  lost);
}

}  // namespace retape::trainer
