#include "data/foreign_files.h"

#include <array>
#include <string_view>

#include "nn/base/error.h"

namespace retape::data {
namespace {

using namespace std::string_view_literals;

struct Form {
  std::string_view magic;
  std::string_view what;
  std::string_view advice;
};

constexpr std::array kForms{
    Form{"\x93NUMPY"sv, "a NumPy array", "numpy.load(FILE).astype('<u2').tofile(\"tokens.bin\") writes them"},
    Form{"PK\x03\x04"sv, "a zip archive (.npz, .pt)", "write the ids themselves"},
    Form{"\x1F\x8B\x08"sv, "a gzip file", "unpack it"},
    Form{"\x28\xB5\x2F\xFD"sv, "a zstd file", "unpack it"},
    Form{"\xFD\x37zXZ\0"sv, "an xz file", "unpack it"},
    Form{"PAR1"sv, "a Parquet file", "write the ids themselves"},
    Form{"\x89HDF\r\n\x1A\n"sv, "an HDF5 file", "write the ids themselves"},
    Form{"MMIDIDX\0\0"sv, "the index of a token file", "name the .bin beside it"},
};

}  // namespace

void refuse_foreign(const std::filesystem::path& path, std::string_view beginning) {
  for (const Form& form : kForms) {
    require<DataError>(!beginning.starts_with(form.magic), "[data] {}: expected text or 16-bit ids, found {}: {}",
                       path.string(), form.what, form.advice);
  }
}

void refuse_wider_ids(const std::filesystem::path& path, std::span<const Token> words) {
  constexpr std::size_t kFewest = 32;
  constexpr Token kLargestUpperHalf = 3;  // of ids below 2^18, more than any vocabulary has
  const std::size_t pairs = words.size() / 2;
  if (words.size() < kFewest) {
    return;
  }
  std::size_t small_above = 0;
  std::size_t zeros_above = 0;
  std::size_t zeros_below = 0;
  for (std::size_t i = 0; i < pairs; ++i) {
    small_above += words[2 * i + 1] <= kLargestUpperHalf ? 1 : 0;
    zeros_above += words[2 * i + 1] == 0 ? 1 : 0;
    zeros_below += words[2 * i] == 0 ? 1 : 0;
  }
  // Of 16-bit ids as many are 0 at odd places as at even ones; a fifth of all is more than chance.
  const bool wider = small_above * 100 >= pairs * 99 && zeros_above >= zeros_below + pairs / 5;
  require<DataError>(
      !wider,
      "[data] {}: expected 16-bit ids (u16), found 32-bit ones (u32) or wider: of its first {} 16-bit "
      "words every second is next to 0; numpy.fromfile(FILE, '<u4').astype('<u2').tofile(\"tokens.bin\") "
      "writes u16",
      path.string(), words.size());
}

}  // namespace retape::data
