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

std::shared_ptr<const TokenSource> open(const std::filesystem::path& path, FileFormat format) {
  return open_token_file(std::make_shared<const InputFile>(path), format);
}

std::vector<Token> all_of(const TokenSource& source) {
  std::vector<Token> tokens(static_cast<std::size_t>(source.size()));
  source.read(0, tokens);
  return tokens;
}

TEST(TokenFile, ReadsLittleEndianU16) {
  const TempDir dir;
  const auto source = open(dir.write("a.bin", std::string_view("\x01\x02\xFF\xFF", 4)), FileFormat::kU16);
  EXPECT_THAT(all_of(*source), ElementsAre(0x0201, 0xFFFF));
  EXPECT_EQ(source->name(), (dir / "a.bin").string());
}

TEST(TokenFile, RefusesU16OfOddSize) {
  const TempDir dir;
  EXPECT_THAT([&] { open(dir.write("a.bin", "abc"), FileFormat::kU16); },
              ThrowsMessage<DataError>(AllOf(HasSubstr("a.bin"), HasSubstr("got 3 bytes"))));
}

TEST(TokenFile, ReadsLlmc) {
  const TempDir dir;
  const auto source = open(dir.write("a", llmc_file(20240520, 1, 3, 3)), FileFormat::kLlmc);
  EXPECT_THAT(all_of(*source), ElementsAre(0, 1, 2));
  std::vector<Token> last(1);
  source->read(2, last);
  EXPECT_THAT(last, ElementsAre(2));
}

TEST(TokenFile, RefusesLlmcThatIsNotWhatItsHeaderSays) {
  const TempDir dir;
  const auto expect_error = [&](const std::string& bytes, const std::string& message) {
    EXPECT_THAT([&] { open(dir.write("a.bin", bytes), FileFormat::kLlmc); },
                ThrowsMessage<DataError>(AllOf(HasSubstr("a.bin"), HasSubstr(message))));
  };
  expect_error(llmc_file(20240801, 7, 3, 6), "magic number 20240520, got 20240801, that of 32-bit ids");
  expect_error(llmc_file(20240802, 1, 3, 3), "magic number 20240520, got 20240802");
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
    EXPECT_THAT(all_of(*open(dir / "out", format)), testing::ElementsAreArray(tokens));
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
    return detect_format(InputFile(dir.write(name, bytes)));
  };
  const std::string_view with_nul("a\0b\0", 4);
  EXPECT_EQ(detect("l.bin", llmc_file(20240801, 7, 3, 6)), FileFormat::kLlmc) << "which says that it is not read";
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
    EXPECT_EQ(detect_format(InputFile(dir.write("a", text))), FileFormat::kText) << before;
  }
}

TEST(TokenFile, KnowsTheHeaderOfLlmcInRawTokens) {
  const TempDir dir;
  for (const std::int32_t magic : {20240520, 20240801}) {
    EXPECT_THAT([&] { open(dir.write("a.bin", llmc_file(magic, 1, 3, 3)), FileFormat::kU16); },
                ThrowsMessage<DataError>(AllOf(HasSubstr("a.bin"), HasSubstr("llm.c"), HasSubstr("llmc"))));
  }
}

TEST(TokenFile, RefusesFilesOfOtherForms) {
  const TempDir dir;
  const auto expect_refusal = [&](std::string_view magic, std::string_view what) {
    const auto refused = ThrowsMessage<DataError>(AllOf(HasSubstr("tokens."), HasSubstr(what)));
    const std::string bytes = std::string(magic) + std::string(100, '\7');
    for (const char* name : {"tokens.bin", "tokens.txt", "tokens.npy"}) {
      EXPECT_THAT([&] { detect_format(InputFile(dir.write(name, bytes))); }, refused);
    }
    EXPECT_THAT([&] { open(dir.write("tokens.bin", bytes + (bytes.size() % 2 == 0 ? "" : "x")), FileFormat::kU16); },
                refused);
  };
  expect_refusal("\x93NUMPY\x01\0v\0", "NumPy array: numpy.load(FILE).astype('<u2')");
  expect_refusal("PK\x03\x04", "zip archive");
  expect_refusal("\x1F\x8B\x08", "gzip");
  expect_refusal("\x28\xB5\x2F\xFD", "zstd");
  expect_refusal("\xFD\x37zXZ" + std::string(1, '\0'), "xz");
  expect_refusal("PAR1", "Parquet");
  expect_refusal("\x89HDF\r\n\x1A\n", "HDF5");
  expect_refusal("MMIDIDX" + std::string(2, '\0'), "the .bin beside it");
}

template <class Id>
std::vector<Id> ids(std::size_t count, std::uint64_t vocab) {
  std::vector<Id> drawn(count);
  std::uint64_t state = 1;
  for (Id& id : drawn) {
    state = state * 6364136223846793005 + 1442695040888963407;
    // The square makes small ids the common ones, as they are.
    id = static_cast<Id>(vocab * ((state >> 40) * (state >> 40) >> 24) >> 24);
  }
  return drawn;
}

TEST(TokenFile, RefusesWiderIds) {
  const TempDir dir;
  const auto refused = ThrowsMessage<DataError>(AllOf(HasSubstr("a.bin"), HasSubstr("u16"), HasSubstr("u32")));
  for (const std::size_t count : {16, 1000, 50000}) {
    for (const std::uint64_t vocab : {4, 65, 256, 50257, 65536, 151'936, 256'000}) {
      SCOPED_TRACE(testing::Message() << count << " ids below " << vocab);
      EXPECT_THAT([&] { open(dir.write("a.bin", ids<std::uint32_t>(count, vocab)), FileFormat::kU16); }, refused);
      EXPECT_THAT([&] { open(dir.write("a.bin", ids<std::int64_t>(count, vocab)), FileFormat::kU16); }, refused);
    }
  }
}

TEST(TokenFile, TakesSixteenBitIdsForWhatTheyAre) {
  const TempDir dir;
  const auto expect_read = [&](const std::vector<Token>& tokens) {
    EXPECT_EQ(all_of(*open(dir.write("a.bin", tokens), FileFormat::kU16)), tokens);
  };
  for (const std::size_t count : {1, 2, 16, 1000, 50000}) {
    for (const std::uint64_t vocab : {1, 2, 4, 65, 256, 50257, 65536}) {
      SCOPED_TRACE(testing::Message() << count << " ids below " << vocab);
      expect_read(ids<Token>(count, vocab));
    }
    expect_read(std::vector<Token>(count, 1));
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
