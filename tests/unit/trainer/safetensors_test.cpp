#include "trainer/safetensors.h"

#include <gmock/gmock.h>

#include <bit>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "nn/base/error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tensor_contents.h"

namespace retape::trainer {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
NamedBytes named(const std::string& name, const std::string& dtype, const std::vector<std::int64_t>& shape,
                 const std::vector<T>& values) {
  return {.name = name, .dtype = dtype, .shape = shape, .bytes = std::as_bytes(std::span(values))};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A file with this header and `body_bytes` bytes of data.
std::string file_with(std::string_view header, std::size_t body_bytes) {
  std::string length(8, '\0');
  const std::uint64_t size = header.size();
  std::memcpy(length.data(), &size, sizeof size);
  return length + std::string(header) + std::string(body_bytes, 'x');
}

// The message of the DataError, without the folder; "" where there is none.
std::string error_of(const TempDir& dir, const std::function<void()>& action) {
  try {
    action();
  } catch (const DataError& error) {
    std::string message = error.what();
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    if (const std::size_t at = message.find(dir.path().string() + "/"); at != std::string::npos) {
      message.erase(at, dir.path().string().size() + 1);
    }
    return message;
  }
  return "";
}

std::string error_of_file(std::string_view bytes) {
  const TempDir dir;
  const std::filesystem::path path = dir.write("a.safetensors", bytes);
  return error_of(dir, [&] { SafetensorsFile file(path); });
}

std::string error_of_header(std::string_view header, std::size_t body_bytes) {
  return error_of_file(file_with(header, body_bytes));
}

class TwoTensors {
 public:
  std::vector<NamedBytes> tensors() const {
    return {named("wte.weight", "F32", {2, 3}, floats_), named("ids", "U8", {3}, ids_)};
  }
  const std::vector<float>& floats() const { return floats_; }

 private:
  std::vector<float> floats_{1, -2, 3.5F, 4, 5, 6};
  std::vector<std::uint8_t> ids_{7, 8, 9};
};

TEST(Safetensors, KnowsTheSizesOfElements) {
  EXPECT_EQ(bytes_per_element("F32"), 4);
  EXPECT_EQ(bytes_per_element("BF16"), 2);
  EXPECT_EQ(bytes_per_element("F16"), 2);
  EXPECT_EQ(bytes_per_element("I32"), 4);
  EXPECT_EQ(bytes_per_element("I64"), 8);
  EXPECT_EQ(bytes_per_element("BOOL"), 1);
  EXPECT_EQ(bytes_per_element("f32"), 0);
}

TEST(Safetensors, RoundTrips) {
  const TempDir dir;
  const TwoTensors two;
  const std::vector<std::uint16_t> scalar{0x3f80};
  const std::vector<float> none;
  std::vector<NamedBytes> written = two.tensors();
  written.push_back(named("empty", "F32", {0, 768}, none));
  written.push_back(named("one\n\"quoted\" \u00e9", "BF16", {}, scalar));
  const SafetensorsMetadata metadata{{"format", "pt"}, {"note", "two\nlines"}};
  write_safetensors(dir / "a", written, metadata);

  SafetensorsFile opened(dir / "a");
  const SafetensorsFile file = std::move(opened);
  EXPECT_EQ(file.metadata(), metadata);
  ASSERT_EQ(file.tensors().size(), written.size());
  for (std::size_t i = 0; i < written.size(); ++i) {
    const StoredTensor& read = file.tensors()[i];
    EXPECT_EQ(read.name, written[i].name);
    EXPECT_EQ(read.dtype, written[i].dtype);
    EXPECT_EQ(read.shape, written[i].shape);
    EXPECT_EQ(contents_of(file, read), text_of(written[i].bytes));
  }
  EXPECT_TRUE(file.has("ids"));
  EXPECT_FALSE(file.has("id"));
  EXPECT_EQ(contents_of(file, file.tensor("wte.weight")), text_of(std::as_bytes(std::span(two.floats()))));
  EXPECT_EQ(error_of(dir, [&] { file.tensor("id"); }), "[safetensors] a: tensor \"id\": it is not in the file");
}

TEST(Safetensors, WritesTheBytesOfTheFormat) {
  const TempDir dir;
  write_safetensors(dir / "a", TwoTensors().tensors());
  std::string header = R"({"wte.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                       R"("ids":{"dtype":"U8","shape":[3],"data_offsets":[24,27]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(dir.read("a").substr(0, 8 + header.size()), file_with(header, 0));
  EXPECT_EQ(dir.read("a").size(), 8 + header.size() + 27);
}

TEST(Safetensors, SameTensorsGiveTheSameFile) {
  const TempDir dir;
  const SafetensorsMetadata metadata{{"b", "1"}, {"a", "2"}};
  write_safetensors(dir / "a", TwoTensors().tensors(), metadata);
  write_safetensors(dir / "b", TwoTensors().tensors(), metadata);
  EXPECT_EQ(dir.read("a"), dir.read("b"));
}

TEST(Safetensors, NoTensorsIsAFileToo) {
  const TempDir dir;
  write_safetensors(dir / "a", {});
  EXPECT_TRUE(SafetensorsFile(dir / "a").tensors().empty());
}

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
  const TempDir dir;
  const std::filesystem::path path =
      dir.write("a", file_with(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]},)"
                               R"("__metadata__":{},"b":{"data_offsets":[0,2],"shape":[2],"dtype":"I8"}})",
                               3));
  const SafetensorsFile file(path);
  ASSERT_EQ(file.tensors().size(), 2U);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_EQ(file.tensors()[1].name, "a");
  EXPECT_THAT(file.tensors()[0].shape, ElementsAre(2));
}

TEST(Safetensors, RefusesToWriteWhatDoesNotFit) {
  const TempDir dir;
  const std::vector<float> four(4);
  const auto error_of_tensors = [&](const std::vector<NamedBytes>& tensors) {
    return error_of(dir, [&] { write_safetensors(dir / "a", tensors); });
  };
  EXPECT_EQ(error_of_tensors({named("w", "F32", {2, 3}, four)}),
            "[safetensors] a: tensor \"w\": expected 24 bytes for F32 [2, 3], got 16");
  EXPECT_THAT(error_of_tensors({named("w", "float", {4}, four)}), HasSubstr("expected a dtype among BOOL, U8"));
  EXPECT_THAT(error_of_tensors({named("w", "F32", {-4}, four)}), HasSubstr("shape [-4] has no size"));
  EXPECT_THAT(error_of_tensors({named("w", "F32", {4}, four), named("w", "F32", {4}, four)}),
              HasSubstr("the name is taken"));
  EXPECT_THAT(error_of_tensors({named("__metadata__", "F32", {4}, four)}), HasSubstr("the name is taken"));
  EXPECT_THAT(error_of_tensors({named("\xff", "F32", {4}, four)}), HasSubstr("UTF-8"));
  EXPECT_EQ(dir.files(), 0U);
}

TEST(Safetensors, RefusesFilesThatAreNotThere) {
  const TempDir dir;
  EXPECT_THAT(error_of(dir, [&] { SafetensorsFile file(dir / "a"); }), AllOf(HasSubstr("a: "), HasSubstr("No such")));
  EXPECT_THAT(error_of_file(""), HasSubstr("empty"));
}

TEST(Safetensors, RefusesAHeaderOfTheWrongSize) {
  EXPECT_EQ(error_of_file("short"), "[safetensors] a.safetensors: expected at least 10 bytes, got 5");
  EXPECT_EQ(error_of_file(std::string(100, '\0')),
            "[safetensors] a.safetensors: header length: expected 2 to 92 bytes, got 0");
  EXPECT_THAT(error_of_file(std::string(100, '\xff')), HasSubstr("expected 2 to 92 bytes, got 18446744073709551615"));
}

// Before any of it is read. The file is one hole, which takes no room on a disk.
TEST(Safetensors, RefusesAHeaderBeyondTheFormatsLimit) {
  constexpr std::uint64_t kBytes = 100'000'001;
  const TempDir dir;
  const std::filesystem::path path = dir.write("a.safetensors", std::vector<std::uint64_t>{kBytes});
  std::filesystem::resize_file(path, 8 + kBytes);
  EXPECT_EQ(error_of(dir, [&] { SafetensorsFile file(path); }),
            "[safetensors] a.safetensors: header length: expected 2 to 100000000 bytes, got 100000001");
}

TEST(Safetensors, RefusesAHeaderThatIsNotTheFormats) {
  EXPECT_THAT(error_of_header("not json", 0), HasSubstr("header:1:2: expected JSON, got \"ot json\""));
  EXPECT_THAT(error_of_header("{\"\xff\":1}", 0), HasSubstr("expected JSON"));
  EXPECT_THAT(error_of_header(R"({"w":{"dtype":"U8","shape":[1e999],"data_offsets":[0,1]}})", 1),
              AllOf(HasSubstr("[safetensors] a.safetensors: header:1:29: expected a number"), HasSubstr("1e999")));
  EXPECT_THAT(error_of_header("[]", 0), HasSubstr("header:1:1: expected a JSON object, got an array"));
  EXPECT_THAT(error_of_header("{\"a\":" + std::string(1'000'000, '['), 0),
              HasSubstr("header:1:133: expected at most 128 levels of arrays and objects, got more"));
  EXPECT_THAT(error_of_header(R"({"__metadata__":[]})", 0), HasSubstr("__metadata__: expected a JSON object"));
  EXPECT_THAT(error_of_header(R"({"__metadata__":{"a":1}})", 0), HasSubstr("expected a string for \"a\", got 1"));
  EXPECT_THAT(error_of_header(R"({"w":3})", 0), HasSubstr("tensor \"w\": expected a JSON object, got 3"));
}

TEST(Safetensors, RefusesNamesThatAreThereTwice) {
  const std::string entry = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(error_of_header("{" + entry + "," + entry + "}", 1), HasSubstr("\"w\" is there twice"));
  EXPECT_THAT(error_of_header(R"({"w":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("\"shape\" is there twice"));
  EXPECT_EQ(error_of_header(R"({"dtype":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1), "");
}

TEST(Safetensors, RefusesATensorWithBadFields) {
  const auto error_of_entry = [](std::string_view dtype, std::string_view shape, std::string_view offsets) {
    return error_of_header(fmt::format(R"({{"w":{{"dtype":{},"shape":{},"data_offsets":{}}}}})", dtype, shape, offsets),
                           8);
  };
  EXPECT_EQ(error_of_entry("\"F32\"", "[2]", "[0,8]"), "");
  EXPECT_EQ(error_of_entry("\"F32\"", "[3]", "[0,8]"),
            "[safetensors] a.safetensors: tensor \"w\": expected 12 bytes for F32 [3], got 8");
  EXPECT_THAT(error_of_entry("\"F31\"", "[2]", "[0,8]"), HasSubstr("got \"F31\""));
  EXPECT_THAT(error_of_entry("32", "[2]", "[0,8]"), HasSubstr("dtype: expected a string, got 32"));
  EXPECT_THAT(error_of_entry("\"F32\"", "2", "[0,8]"), HasSubstr("shape: expected a list, got 2"));
  EXPECT_THAT(error_of_entry("\"F32\"", "[-2]", "[0,8]"),
              HasSubstr("shape: expected an integer from 0 to 9223372036854775807, got "));
  EXPECT_THAT(error_of_entry("\"F32\"", "[2.0]", "[0,8]"),
              HasSubstr("shape: expected an integer from 0 to 9223372036854775807, got "));
  EXPECT_THAT(error_of_entry("\"F32\"", "[9223372036854775808]", "[0,8]"),
              HasSubstr("shape: expected an integer from 0 to 9223372036854775807, got "));
  EXPECT_THAT(error_of_entry("\"F32\"", "[4611686018427387904,4]", "[0,8]"), HasSubstr("has no size in bytes"));
  EXPECT_THAT(error_of_entry("\"F32\"", "[2]", "[0]"), HasSubstr("data_offsets: expected 2 numbers, got 1"));
  EXPECT_THAT(error_of_entry("\"F32\"", "[2]", "[8,0]"), HasSubstr("got [8, 0]"));
  EXPECT_THAT(error_of_entry("\"F32\"", "[3]", "[0,12]"), HasSubstr("within the file's 8 bytes of data, got [0, 12]"));
  EXPECT_THAT(error_of_header(R"({"w":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("data_offsets is missing"));
}

TEST(Safetensors, RefusesGapsAndOverlaps) {
  const auto error_of_second = [](int begin, int end, std::size_t body_bytes) {
    return error_of_header(fmt::format(R"({{"a":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}},)"
                                       R"("b":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}}}})",
                                       end - begin, begin, end),
                           body_bytes);
  };
  EXPECT_EQ(error_of_second(4, 6, 6), "");
  EXPECT_THAT(error_of_second(5, 6, 6), HasSubstr("tensor \"b\": expected its data at byte 4"));
  EXPECT_THAT(error_of_second(3, 6, 6), HasSubstr("tensor \"b\": expected its data at byte 4"));
  EXPECT_THAT(error_of_second(4, 6, 7), HasSubstr("expected 6 bytes of data, got 7"));
}

TEST(Safetensors, RefusesEveryTruncation) {
  const TempDir dir;
  write_safetensors(dir / "a", TwoTensors().tensors());
  const std::string whole = dir.read("a");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of_file(whole.substr(0, length)), "") << length;
  }
  EXPECT_NE(error_of_file(whole + "x"), "");
}

TEST(Safetensors, GivesATensorInPiecesOfWholeElements) {
  const TempDir dir;
  std::vector<double> values(300'000);
  std::iota(values.begin(), values.end(), 0.5);
  const std::vector<std::uint8_t> odd{1, 2, 3};
  write_safetensors(dir / "a", std::vector{named("odd", "U8", {3}, odd), named("values", "F64", {300'000}, values)});
  const SafetensorsFile file(dir / "a");
  const StoredTensor& tensor = file.tensor("values");
  const std::string whole = text_of(std::as_bytes(std::span(values)));
  for (const Bytes bytes : {Bytes{0}, Bytes{8}, tensor.bytes}) {
    std::string found;
    file.visit(tensor, bytes, [&](Bytes offset, std::span<const std::byte> piece) {
      EXPECT_EQ(offset, static_cast<Bytes>(found.size()));
      EXPECT_EQ(piece.size() % sizeof(double), 0U);
      EXPECT_LE(piece.size(), std::size_t{1} << 20);
      found += text_of(piece);
    });
    EXPECT_TRUE(found == whole.substr(0, static_cast<std::size_t>(bytes)));
  }
  std::vector<std::byte> two(2);
  file.read(file.tensor("odd"), 1, two);
  EXPECT_EQ(text_of(two), "\2\3");
  EXPECT_THROW(file.read(file.tensor("odd"), 2, two), Error);
  EXPECT_THROW(file.read(file.tensor("odd"), -1, two), Error);
}

// A file that is mapped would end the process with SIGBUS.
TEST(Safetensors, SaysThatTheFileHasShrunk) {
  const TempDir dir;
  write_safetensors(dir / "a", TwoTensors().tensors());
  const SafetensorsFile file(dir / "a");
  std::filesystem::resize_file(dir / "a", 20);
  const auto nothing = [](Bytes, std::span<const std::byte>) {};
  for (const StoredTensor& tensor : file.tensors()) {
    EXPECT_THAT(error_of(dir, [&] { file.read(tensor); }), AllOf(HasSubstr("a: expected"), HasSubstr("has shrunk")));
    EXPECT_THAT(error_of(dir, [&] { file.visit(tensor, tensor.bytes, nothing); }), HasSubstr("has shrunk"));
  }
}

TEST(Safetensors, AHeaderWithAnyBitFlippedIsReadOrRefusedButNothingElse) {
  const TempDir dir;
  write_safetensors(dir / "whole", TwoTensors().tensors(), {{"key", "value"}});
  std::string bytes = dir.read("whole");
  const std::size_t header_bytes = SafetensorsFile(dir / "whole").header().size();
  for (std::size_t bit = 0; bit < header_bytes * 8; ++bit) {
    const auto mask = static_cast<char>(1 << (bit % 8));
    bytes[bit / 8] ^= mask;
    const std::filesystem::path path = dir.write("flipped", bytes);
    error_of(dir, [&] {
      const SafetensorsFile file(path);
      Bytes total = 0;
      for (const StoredTensor& tensor : file.tensors()) {
        total += tensor.bytes;
      }
      EXPECT_EQ(total, 27);
    });
    bytes[bit / 8] ^= mask;
  }
}

}  // namespace
}  // namespace retape::trainer
