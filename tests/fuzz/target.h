// A target of the fuzzer hands bytes to a reader as its user would. It may refuse them, in one line; everything else
// that happens is a finding: a crash, an exception of another type, a property that does not hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "nn/base/error.h"

// Called by the fuzzer, and by replay.cpp.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);

namespace retape::fuzz {

// Ends the program unless the property holds.
void require_property(bool holds, std::string_view property);

void require_one_line(const Error& error);

// A file in memory that has a path.
class ScratchFile {
 public:
  explicit ScratchFile(std::string_view bytes);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  std::filesystem::path path() const;
  void overwrite(std::size_t offset, std::string_view bytes);

 private:
  int fd_ = -1;
};

// Runs the reader; a refusal is fine.
template <class Read>
int try_to(const std::uint8_t* bytes, std::size_t size, Read read) {
  try {
    read(std::string_view(reinterpret_cast<const char*>(bytes), size));
  } catch (const Error& error) {
    require_one_line(error);
  }
  return 0;
}

}  // namespace retape::fuzz
