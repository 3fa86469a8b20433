#include "trainer/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "data/atomic_file.h"
#include "data/files/json.h"
#include "nn/base/error.h"

namespace retape::trainer {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the format is little-endian and is read as it is");

constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
constexpr std::size_t kMinHeaderBytes = 2;  // {}
constexpr std::size_t kAlignmentBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr Bytes kPieceBytes = 1_MiB;                    // of whole elements, whatever their type
constexpr std::string_view kMetadataKey = "__metadata__";

struct ElementType {
  std::string_view name;
  Bytes bytes;
};

constexpr auto kElementTypes = std::to_array<ElementType>({{"BOOL", 1},
                                                           {"U8", 1},
                                                           {"I8", 1},
                                                           {"F8_E5M2", 1},
                                                           {"F8_E4M3", 1},
                                                           {"U16", 2},
                                                           {"I16", 2},
                                                           {"F16", 2},
                                                           {"BF16", 2},
                                                           {"U32", 4},
                                                           {"I32", 4},
                                                           {"F32", 4},
                                                           {"U64", 8},
                                                           {"I64", 8},
                                                           {"F64", 8}});

std::string place_of(const std::filesystem::path& path, std::string_view tensor) {
  return fmt::format("[safetensors] {}: tensor {}", path.string(), data::in_quotes(tensor));
}

std::string known_dtypes() {
  std::string names;
  for (const ElementType& type : kElementTypes) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", type.name);
  }
  return names;
}

// Checks that `bytes` is what dtype and shape ask for.
void check_size(std::string_view place, std::string_view dtype, std::span<const std::int64_t> shape, Bytes bytes) {
  Bytes expected = bytes_per_element(dtype);
  require<DataError>(expected > 0, "{}: expected a dtype among {}; got {}", place, known_dtypes(),
                     data::in_quotes(dtype));
  const bool fits = std::all_of(shape.begin(), shape.end(), [&expected](std::int64_t size) {
    return size >= 0 && !__builtin_mul_overflow(expected, size, &expected);
  });
  require<DataError>(fits, "{}: shape {} has no size in bytes", place, format_shape(shape));
  require<DataError>(bytes == expected, "{}: expected {} bytes for {} {}, got {}", place, expected, dtype,
                     format_shape(shape), bytes);
}

// --- Reading -------------------------------------------------------------------------------------------------------

std::string read_header(const data::InputFile& file) {
  constexpr std::size_t kLeastBytes = kLengthBytes + kMinHeaderBytes;
  require<DataError>(std::cmp_greater_equal(file.size(), kLeastBytes),
                     "[safetensors] {}: expected at least {} bytes, got {}", file.path().string(), kLeastBytes,
                     file.size());
  std::uint64_t length = 0;
  file.read(0, std::as_writable_bytes(std::span(&length, 1)));
  const std::uint64_t most = std::min(static_cast<std::uint64_t>(file.size()) - kLengthBytes, kMaxHeaderBytes);
  require<DataError>(length >= kMinHeaderBytes && length <= most,
                     "[safetensors] {}: header length: expected {} to {} bytes, got {}", file.path().string(),
                     kMinHeaderBytes, most, length);
  return file.beginning(static_cast<std::int64_t>(kLengthBytes + length));
}

SafetensorsMetadata read_metadata(const std::filesystem::path& path, json metadata) {
  require<DataError>(metadata.is_object(), "[safetensors] {}: __metadata__: expected a JSON object, got {}",
                     path.string(), data::shown(metadata));
  SafetensorsMetadata read;
  for (auto& [key, value] : metadata.get_ref<json::object_t&>()) {
    require<DataError>(value.is_string(), "[safetensors] {}: __metadata__: expected a string for {}, got {}",
                       path.string(), data::in_quotes(key), data::shown(value));
    read.emplace(key, std::move(value.get_ref<std::string&>()));
  }
  return read;
}

const json& field_of(std::string_view place, const json& entry, const char* name) {
  const auto field = entry.find(name);
  require<DataError>(field != entry.end(), "{}: {} is missing", place, name);
  return *field;
}

std::vector<std::int64_t> read_integers(std::string_view place, const json& entry, const char* name) {
  const json& list = field_of(place, entry, name);
  require<DataError>(list.is_array(), "{}: {}: expected a list, got {}", place, name, data::shown(list));
  const std::string name_of_items = fmt::format("{}: {}", place, name);
  std::vector<std::int64_t> integers;
  integers.reserve(list.size());
  for (const json& item : list) {
    integers.push_back(data::integer_of(item, name_of_items, 0, std::numeric_limits<std::int64_t>::max()));
  }
  return integers;
}

// The file's bytes after the header.
struct Body {
  std::int64_t begin;
  std::int64_t bytes;
};

StoredTensor read_entry(const std::filesystem::path& path, const std::string& name, const json& entry,
                        const Body& body) {
  const std::string place = place_of(path, name);
  require<DataError>(entry.is_object(), "{}: expected a JSON object, got {}", place, data::shown(entry));
  const json& dtype = field_of(place, entry, "dtype");
  require<DataError>(dtype.is_string(), "{}: dtype: expected a string, got {}", place, data::shown(dtype));
  const std::vector<std::int64_t> offsets = read_integers(place, entry, "data_offsets");
  require<DataError>(offsets.size() == 2, "{}: data_offsets: expected 2 numbers, got {}", place, offsets.size());
  const auto [begin, end] = std::pair(offsets[0], offsets[1]);
  require<DataError>(begin <= end && end <= body.bytes,
                     "{}: expected a range within the file's {} bytes of data, got [{}, {}]", place, body.bytes, begin,
                     end);
  StoredTensor tensor{.name = name,
                      .dtype = dtype.get<std::string>(),
                      .shape = read_integers(place, entry, "shape"),
                      .begin = body.begin + begin,
                      .bytes = end - begin};
  check_size(place, tensor.dtype, tensor.shape, tensor.bytes);
  return tensor;
}

// Sorts by place, and checks that every byte of the body belongs to exactly one tensor.
void sort_and_check_cover(const std::filesystem::path& path, std::vector<StoredTensor>& tensors, const Body& body) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::tuple(a.begin, a.bytes) < std::tuple(b.begin, b.bytes);
  });
  std::int64_t covered = 0;
  for (const StoredTensor& tensor : tensors) {
    const std::int64_t begin = tensor.begin - body.begin;
    require<DataError>(begin == covered, "{}: expected its data at byte {}, where that before ends, got {}",
                       place_of(path, tensor.name), covered, begin);
    covered += tensor.bytes;
  }
  require<DataError>(covered == body.bytes, "[safetensors] {}: expected {} bytes of data, got {}", path.string(),
                     covered, body.bytes);
}

}  // namespace

std::string format_shape(std::span<const std::int64_t> shape) {
  std::string sizes;
  for (const std::int64_t size : shape) {
    sizes += fmt::format("{}{}", sizes.empty() ? "" : ", ", size);
  }
  return "[" + sizes + "]";
}

Bytes bytes_per_element(std::string_view dtype) {
  const auto found = std::find_if(kElementTypes.begin(), kElementTypes.end(),
                                  [dtype](const ElementType& type) { return type.name == dtype; });
  return found == kElementTypes.end() ? 0 : found->bytes;
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : file_(std::move(path)), header_(read_header(file_)) {
  const auto header_bytes = static_cast<std::int64_t>(header_.size());
  const Body body{.begin = header_bytes, .bytes = file_.size() - header_bytes};
  const auto take = [&](const std::string& name, json entry) {
    if (name == kMetadataKey) {
      metadata_ = read_metadata(file_.path(), std::move(entry));
    } else {
      tensors_.push_back(read_entry(file_.path(), name, entry, body));
    }
  };
  data::visit_json(std::string_view(header_).substr(kLengthBytes),
                   fmt::format("[safetensors] {}: header", file_.path().string()), take);
  sort_and_check_cover(file_.path(), tensors_, body);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    index_.emplace(tensors_[i].name, i);
  }
}

const StoredTensor& SafetensorsFile::tensor(std::string_view name) const {
  const auto found = index_.find(name);
  require<DataError>(found != index_.end(), "{}: it is not in the file", place_of(path(), name));
  return tensors_[found->second];
}

void SafetensorsFile::read(const StoredTensor& tensor, Bytes offset, std::span<std::byte> out) const {
  const auto length = static_cast<Bytes>(out.size());
  require(offset >= 0 && length <= tensor.bytes && offset <= tensor.bytes - length,
          "{}: expected a range inside its {} bytes, got {} from {}", place_of(path(), tensor.name), tensor.bytes,
          length, offset);
  file_.read(tensor.begin + offset, out);
}

std::vector<std::byte> SafetensorsFile::read(const StoredTensor& tensor) const {
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.bytes));
  read(tensor, 0, bytes);
  return bytes;
}

void SafetensorsFile::visit(const StoredTensor& tensor, Bytes bytes, const TakePiece& take) const {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(bytes, kPieceBytes)));
  for (Bytes offset = 0; offset < bytes; offset += kPieceBytes) {
    const auto piece = std::span(buffer).first(static_cast<std::size_t>(std::min(bytes - offset, kPieceBytes)));
    read(tensor, offset, piece);
    take(offset, piece);
  }
}

// --- Writing -------------------------------------------------------------------------------------------------------

std::string safetensors_header(const std::filesystem::path& path, std::span<const NamedBytes> tensors,
                               const SafetensorsMetadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) {
    header[std::string(kMetadataKey)] = metadata;
  }
  std::set<std::string_view> names{kMetadataKey};
  std::size_t offset = 0;
  for (const NamedBytes& tensor : tensors) {
    const std::string place = place_of(path, tensor.name);
    require<DataError>(names.insert(tensor.name).second, "{}: the name is taken", place);
    check_size(place, tensor.dtype, tensor.shape, static_cast<Bytes>(tensor.bytes.size()));
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }

  std::string text;
  try {
    text = header.dump();
  } catch (const json::type_error&) {
    fail<DataError>("[safetensors] {}: expected names and metadata in UTF-8", path.string());
  }
  const std::size_t padding = (kAlignmentBytes - text.size() % kAlignmentBytes) % kAlignmentBytes;
  text.append(padding, ' ');
  require<DataError>(text.size() <= kMaxHeaderBytes, "[safetensors] {}: header: expected at most {} bytes, got {}",
                     path.string(), kMaxHeaderBytes, text.size());
  const auto length = std::bit_cast<std::array<char, kLengthBytes>>(static_cast<std::uint64_t>(text.size()));
  return std::string(length.begin(), length.end()) + text;
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedBytes> tensors,
                       const SafetensorsMetadata& metadata) {
  const std::string header = safetensors_header(path, tensors, metadata);
  data::AtomicFile file(path);
  file.write(header);
  for (const NamedBytes& tensor : tensors) {
    file.write(tensor.bytes);
  }
  file.commit();
}

}  // namespace retape::trainer
