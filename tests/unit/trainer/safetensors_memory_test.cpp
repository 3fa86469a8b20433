// Opening a file takes memory in proportion to its header, whatever the header says.
#include <gmock/gmock.h>

#include <cstring>
#include <functional>

#include "nn/base/error.h"
#include "tests/support/heap_peak.h"
#include "tests/support/temp_dir.h"
#include "trainer/safetensors.h"

namespace retape::trainer {
namespace {

constexpr std::size_t kHeaderBytes = std::size_t{8} << 20;
constexpr std::string_view kNothing = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";

std::string repeated(std::string_view begin, const std::function<std::string(std::size_t)>& part,
                     std::string_view end) {
  std::string text(begin);
  for (std::size_t i = 0; text.size() < kHeaderBytes; ++i) {
    text += part(i);
  }
  return text.append(end);
}

// Whether the file is opened; the test fails where that takes too much.
bool opens(const std::string& header) {
  const TempDir dir;
  std::string bytes(8, '\0');
  const std::uint64_t size = header.size();
  std::memcpy(bytes.data(), &size, sizeof size);
  const std::filesystem::path path = dir.write("a.safetensors", bytes + header);
  const HeapPeak peak;
  try {
    const SafetensorsFile file(path);
    EXPECT_LE(peak.bytes(), 16 * header.size() + (std::size_t{64} << 20)) << header.substr(0, 60);
    return true;
  } catch (const DataError&) {
    EXPECT_LE(peak.bytes(), 16 * header.size() + (std::size_t{64} << 20)) << header.substr(0, 60);
    return false;
  }
}

TEST(SafetensorsMemory, TakesAHeaderOfManyTensors) {
  EXPECT_TRUE(opens(repeated(
      "{", [](std::size_t i) { return fmt::format("\"{:x}\":{},", i, kNothing); },
      fmt::format("\"\":{}}}", kNothing))));
}

TEST(SafetensorsMemory, IsInProportionToTheHeader) {
  EXPECT_FALSE(opens(std::string(2 * kHeaderBytes, '[')));
  EXPECT_FALSE(opens("{\"a\":" + std::string(2 * kHeaderBytes, '[')));
  opens(repeated(
      "{\"__metadata__\":{", [](std::size_t i) { return fmt::format("\"{:x}\":\"\",", i); }, "\"\":\"\"}}"));
  opens(repeated(
      "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0],\"shape\":[", [](std::size_t) { return "0,"; }, "0]}}"));
  opens(repeated(
      "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,0],\"shape\":[0],\"b\":[", [](std::size_t) { return "{},"; },
      "0]}}"));
  opens(repeated(
      "{\"", [](std::size_t) { return "n"; }, fmt::format("\":{}}}", kNothing)));
}

}  // namespace
}  // namespace retape::trainer
