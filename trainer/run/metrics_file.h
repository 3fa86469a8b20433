// The file of a run's metrics, written line by line whatever others do to it meanwhile.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "data/files/file_descriptor.h"

namespace retape::trainer {

class MetricsFile {
 public:
  using Warn = std::function<void(const std::string&)>;

  // Puts `earlier`, whole lines, in the place of what the file holds. Throws DataError, here and below, for what cannot
  // be written. No link is followed.
  MetricsFile(std::filesystem::path path, std::string_view earlier, Warn warn);

  // Appends a line. Where the file was removed or replaced since the last, a new one is begun, and what took its place
  // is moved aside to "PATH.replaced-1" (-2, ...). The first time that the file is not as it was left, it is warned of.
  void append(const std::string& line);

  // Waits until what was appended is on the disk.
  void sync();

 private:
  void open();
  void look_after();
  void move_aside(const std::filesystem::path& aside) const;
  void begin_anew(std::string_view why);
  void warn_once(std::string_view what);

  std::filesystem::path path_;
  Warn warn_;
  data::FileDescriptor file_;
  off_t bytes_ = 0;  // as the last line left it
  bool warned_ = false;
};

}  // namespace retape::trainer
