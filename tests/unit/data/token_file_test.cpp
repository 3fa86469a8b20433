#include "data/token_file.h"

#include <gmock/gmock.h>

#include <numeric>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"

namespace retape::data {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::ThrowsMessage;

// An llm.c file with this header and `tokens` tokens 0, 1, 2, ...
std::string llmc_file(std::int32_t magic, std::int32_t version, std::int32_t count, std::size_t tokens) {
  std::vector<std::int32_t> header(256, 0);
  header[0] = magic;
  header[1] = version;
  header[2] = count;
  std::vector<Token> ids(tokens);
  std::iota(ids.begin(), ids.end(), Token{0});
  return std::string(reinterpret_cast<const char*>(header.data()), 1024) +
         std::string(reinterpret_cast<const char*>(ids.data()), tokens * 2);
}

TokenStream::Part open(const std::filesystem::path& path, FileFormat format) {
  return open_token_file(std::make_shared<const MappedFile>(path), format);
}

TEST(TokenFile, ReadsLittleEndianU16) {
  const TempDir dir;
  const auto part = open(dir.write("a.bin", std::string_view("\x01\x02\xFF\xFF", 4)), FileFormat::kU16);
  EXPECT_THAT(part.tokens, ElementsAre(0x0201, 0xFFFF));
  EXPECT_EQ(part.name, (dir / "a.bin").string());
}

TEST(TokenFile, RefusesU16OfOddSize) {
  const TempDir dir;
  EXPECT_THAT([&] { open(dir.write("a.bin", "abc"), FileFormat::kU16); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("a.bin"), HasSubstr("got 3 bytes"))));
}

TEST(TokenFile, ReadsLlmc) {
  const TempDir dir;
  EXPECT_THAT(open(dir.write("a", llmc_file(20240520, 1, 3, 3)), FileFormat::kLlmc).tokens, ElementsAre(0, 1, 2));
}

TEST(TokenFile, RefusesLlmcThatIsNotWhatItsHeaderSays) {
  const TempDir dir;
  const auto expect_error = [&](const std::string& bytes, const std::string& message) {
    EXPECT_THAT([&] { open(dir.write("a.bin", bytes), FileFormat::kLlmc); },
                ThrowsMessage<DataError>(AllOf(HasSubstr("a.bin"), HasSubstr(message))));
  };
  expect_error(llmc_file(20240801, 1, 3, 3), "magic number 20240520, got 20240801");
  expect_error(llmc_file(20240520, 7, 3, 3), "version 1, got 7");
  expect_error(llmc_file(20240520, 1, 0, 0), "at least one token");
  expect_error(llmc_file(20240520, 1, -3, 3), "at least one token");
  expect_error(llmc_file(20240520, 1, 4, 3), "1032 bytes for 4 tokens, got 1030");
  expect_error(llmc_file(20240520, 1, 2, 3), "1028 bytes for 2 tokens, got 1030");
  expect_error(llmc_file(20240520, 1, 3, 3) + "x", "got 1031");
  expect_error(llmc_file(20240520, 1, 3, 3).substr(0, 1000), "header of 1024 bytes");
}

TEST(TokenFile, WritesWhatItReads) {
  const TempDir dir;
  const std::vector<Token> tokens{5, 0, 65535, 256};
  for (const FileFormat format : {FileFormat::kU16, FileFormat::kLlmc}) {
    AtomicFile file(dir / "out");
    write_tokens(file, tokens, format);
    file.commit();
    EXPECT_THAT(open(dir / "out", format).tokens, testing::ElementsAreArray(tokens));
  }
  std::vector<Token> first_three{0, 1, 2};
  AtomicFile file(dir / "llmc");
  write_tokens(file, first_three, FileFormat::kLlmc);
  file.commit();
  EXPECT_EQ(dir.read("llmc"), llmc_file(20240520, 1, 3, 3));
}

TEST(TokenFile, DetectsTheFormat) {
  const TempDir dir;
  const auto detect = [&](std::string_view name, std::string_view bytes) {
    return detect_format(MappedFile(dir.write(name, bytes)));
  };
  const std::string_view with_nul("a\0b\0", 4);
  EXPECT_EQ(detect("a.txt", llmc_file(20240520, 1, 3, 3)), FileFormat::kLlmc);
  EXPECT_EQ(detect("b.txt", with_nul), FileFormat::kText);
  EXPECT_EQ(detect("c.md", "\xFF"), FileFormat::kText);
  EXPECT_EQ(detect("d.bin", "abcd"), FileFormat::kU16);
  EXPECT_EQ(detect("e.cpp", "int main() {}"), FileFormat::kText);
  EXPECT_EQ(detect("f", "caf\u00E9"), FileFormat::kText);
  EXPECT_EQ(detect("g", with_nul), FileFormat::kU16);
  EXPECT_EQ(detect("h", "ab\xFF"), FileFormat::kU16);
  EXPECT_EQ(detect("i", "caf\xC3"), FileFormat::kU16);
}

TEST(TokenFile, DetectsTextWhoseSampleEndsInsideACharacter) {
  const TempDir dir;
  for (const std::size_t before : {65535U, 65534U, 65533U}) {
    const std::string text = std::string(before, 'a') + "\U0001F600" + std::string(100, 'b');
    EXPECT_EQ(detect_format(MappedFile(dir.write("a", text))), FileFormat::kText) << before;
  }
}

TEST(TokenFile, FormatsHaveNames) {
  for (const std::string_view name : {"auto", "text", "u16", "llmc"}) {
    EXPECT_EQ(to_string(parse_format(name)), name);
  }
  EXPECT_THAT([] { parse_format("u32"); }, ThrowsMessage<ConfigError>(HasSubstr("\"u32\"")));
}

}  // namespace
}  // namespace retape::data
