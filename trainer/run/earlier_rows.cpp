#include "trainer/run/earlier_rows.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>
#include <set>
#include <sstream>

#include "data/files/file_descriptor.h"
#include "data/files/json.h"
#include "nn/base/error.h"
#include "trainer/run/run_folder.h"
#include "trainer/run/settings_file.h"

namespace retape::trainer {
namespace {

using nlohmann::json;

// Nothing where there is no file.
std::optional<data::FileDescriptor> open_metrics(const std::filesystem::path& path) {
  // A pipe that nobody writes to would be waited for without O_NONBLOCK. What a link leads to is not the run's to
  // write.
  data::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC));
  if (file.get() < 0) {
    require<DataError>(errno != ELOOP, "[metrics] {}: expected a regular file, got a link", path.string());
    if (errno == ENOENT || errno == ENOTDIR) {
      return std::nullopt;
    }
    data::fail_io(path, "open the metrics", errno);
  }
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) {
    data::fail_io(path, "look at the metrics", errno);
  }
  require<DataError>(S_ISREG(status.st_mode), "[metrics] {}: expected a regular file, got {}", path.string(),
                     S_ISDIR(status.st_mode) ? "a directory" : "something else");
  return file;
}

// To the end, or a piece further than `enough`.
template <class Enough>
std::string read_until(const Enough& enough, const data::FileDescriptor& file, const std::filesystem::path& path) {
  std::string text;
  std::array<char, 1 << 16> piece{};
  while (!enough(text)) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0) {
      data::fail_io(path, "read the metrics", errno);
    }
    if (count == 0) {
      return text;
    }
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  return text;
}

std::string read_all(const data::FileDescriptor& file, const std::filesystem::path& path) {
  return read_until([](const std::string&) { return false; }, file, path);
}

struct Row {
  std::int64_t step = 0;
  bool is_evaluation = false;
  bool resumed = false;
};

// Nothing where the line is no row.
std::optional<Row> parse_row(const std::string& line) {
  try {
    const json row = data::parse_json(line, "row");
    if (!row.is_object() || !row.contains("step")) {
      return std::nullopt;
    }
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() - 1;  // one more is a step too
    return Row{.step = data::integer_of(row["step"], "step", 0, kMost),
               .is_evaluation = row.contains("val_loss"),
               .resumed = row.contains("resumed")};
  } catch (const DataError&) {
    return std::nullopt;
  }
}

// Finds the steps without a row.
class Gaps {
 public:
  void see(const Row& row) {
    if (row.resumed) {
      next_ = std::max(next_, row.step);
    }
    if (!row.is_evaluation) {
      skip_to(row.step);
      next_ = std::max(next_, row.step + 1);
    }
  }

  std::string until(std::int64_t end) {
    skip_to(end);
    return missing_;
  }

 private:
  void skip_to(std::int64_t step) {
    if (step > next_) {
      missing_ += fmt::format("{}{}", missing_.empty() ? "" : ", ", next_);
      missing_ += step > next_ + 1 ? fmt::format(" to {}", step - 1) : "";
    }
  }

  std::int64_t next_ = 0;
  std::string missing_;
};

// Whether a run may have written what the file begins with: nothing yet, a row, or one that a kill cut short.
bool begins_with_row(const data::FileDescriptor& file, const std::filesystem::path& path) {
  constexpr std::size_t kLongestRow = std::size_t{64} << 20;
  constexpr std::string_view kBeginning = R"({"step":)";  // as metrics.cpp writes it
  const auto has_line = [](const std::string& text) { return text.find('\n') != std::string::npos; };
  const std::string text =
      read_until([&](const std::string& read) { return has_line(read) || read.size() > kLongestRow; }, file, path);
  if (has_line(text)) {
    return parse_row(text.substr(0, text.find('\n'))).has_value();
  }
  const std::string_view cut = std::string_view(text).substr(0, kBeginning.size());
  return text.size() <= kLongestRow && kBeginning.starts_with(cut);
}

}  // namespace

void require_metrics_of_run(const std::filesystem::path& out_dir, bool force) {
  const std::filesystem::path path = metrics_in(out_dir);
  const std::optional<data::FileDescriptor> file = open_metrics(path);
  if (!file || force) {
    return;
  }
  struct stat status {};
  const bool is_empty = ::fstat(file->get(), &status) == 0 && status.st_size == 0;
  require<DataError>(is_empty || (has_run(out_dir) && begins_with_row(*file, path)),
                     "[metrics] {}: expected the rows of a run, got a file that no run wrote; --force replaces it",
                     path.string());
}

EarlierRows read_earlier_rows(const std::filesystem::path& metrics, const RunPosition& position) {
  EarlierRows rows;
  Gaps gaps;
  const std::optional<data::FileDescriptor> file = open_metrics(metrics);
  std::istringstream text(file ? read_all(*file, metrics) : std::string());
  std::set<std::int64_t> steps;
  std::set<std::int64_t> evaluations;
  for (std::string line; std::getline(text, line);) {
    const std::optional<Row> row = parse_row(line);
    if (!row) {
      continue;
    }
    const std::int64_t end = position.step + (row->is_evaluation && !position.evaluation_due ? 1 : 0);
    std::set<std::int64_t>& seen = row->is_evaluation ? evaluations : steps;
    if (row->step < end && seen.insert(row->step).second) {
      rows.kept += line + "\n";
      gaps.see(*row);
    }
  }
  rows.missing = gaps.until(position.step);
  return rows;
}

}  // namespace retape::trainer
