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

static_assert(std::endian::native == std::endian::little, "the format is little-endian and is used in place");

constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
constexpr std::size_t kMinHeaderBytes = 2;  // {}
constexpr std::size_t kAlignmentBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
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

std::span<const std::byte> find_header(const data::MappedFile& file) {
  const std::span<const std::byte> bytes = file.bytes();
  require<DataError>(bytes.size() >= kLengthBytes + kMinHeaderBytes,
                     "[safetensors] {}: expected at least {} bytes, got {}", file.path().string(),
                     kLengthBytes + kMinHeaderBytes, bytes.size());
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kLengthBytes);
  const std::uint64_t most = std::min<std::uint64_t>(bytes.size() - kLengthBytes, kMaxHeaderBytes);
  require<DataError>(length >= kMinHeaderBytes && length <= most,
                     "[safetensors] {}: header length: expected {} to {} bytes, got {}", file.path().string(),
                     kMinHeaderBytes, most, length);
  return bytes.first(kLengthBytes + length);
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

NamedBytes read_entry(const std::filesystem::path& path, const std::string& name, const json& entry,
                      std::span<const std::byte> body) {
  const std::string place = place_of(path, name);
  require<DataError>(entry.is_object(), "{}: expected a JSON object, got {}", place, data::shown(entry));
  const json& dtype = field_of(place, entry, "dtype");
  require<DataError>(dtype.is_string(), "{}: dtype: expected a string, got {}", place, data::shown(dtype));
  const std::vector<std::int64_t> offsets = read_integers(place, entry, "data_offsets");
  require<DataError>(offsets.size() == 2, "{}: data_offsets: expected 2 numbers, got {}", place, offsets.size());
  const auto [begin, end] = std::pair(offsets[0], offsets[1]);
  require<DataError>(begin <= end && std::cmp_less_equal(end, body.size()),
                     "{}: expected a range within the file's {} bytes of data, got [{}, {}]", place, body.size(), begin,
                     end);
  NamedBytes tensor{.name = name,
                    .dtype = dtype.get<std::string>(),
                    .shape = read_integers(place, entry, "shape"),
                    .bytes = body.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin))};
  check_size(place, tensor.dtype, tensor.shape, end - begin);
  return tensor;
}

// Sorts by place, and checks that every byte of the body belongs to exactly one tensor.
void sort_and_check_cover(const std::filesystem::path& path, std::vector<NamedBytes>& tensors,
                          std::span<const std::byte> body) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const NamedBytes& a, const NamedBytes& b) {
    return std::tuple(a.bytes.data(), a.bytes.size()) < std::tuple(b.bytes.data(), b.bytes.size());
  });
  const std::byte* covered = body.data();
  for (const NamedBytes& tensor : tensors) {
    require<DataError>(tensor.bytes.data() == covered,
                       "{}: expected its data at byte {}, where that before ends, got {}", place_of(path, tensor.name),
                       covered - body.data(), tensor.bytes.data() - body.data());
    covered += tensor.bytes.size();
  }
  require<DataError>(covered == body.data() + body.size(), "[safetensors] {}: expected {} bytes of data, got {}",
                     path.string(), covered - body.data(), body.size());
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

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : file_(std::move(path)), header_(find_header(file_)) {
  const std::span<const std::byte> body = file_.bytes().subspan(header_.size());
  const std::string_view text = file_.text().substr(kLengthBytes, header_.size() - kLengthBytes);
  const auto take = [&](const std::string& name, json entry) {
    if (name == kMetadataKey) {
      metadata_ = read_metadata(file_.path(), std::move(entry));
    } else {
      tensors_.push_back(read_entry(file_.path(), name, entry, body));
    }
  };
  data::visit_json(text, fmt::format("[safetensors] {}: header", file_.path().string()), take);
  sort_and_check_cover(file_.path(), tensors_, body);
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    index_.emplace(tensors_[i].name, i);
  }
}

const NamedBytes& SafetensorsFile::tensor(std::string_view name) const {
  const auto found = index_.find(name);
  require<DataError>(found != index_.end(), "{}: it is not in the file", place_of(path(), name));
  return tensors_[found->second];
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
