// Tensors in a safetensors file, the format of the model hub: an 8-byte little-endian header length, a JSON header that
// names each tensor with its dtype, shape and place, then the bytes of all tensors with nothing between them.
//
// Everything here is host memory and names; what a name means is the caller's business.
// Errors are DataErrors: "[safetensors] FILE: tensor "NAME": expected ..., got ...".
// Source: the format's description, github.com/huggingface/safetensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/files/input_file.h"
#include "nn/base/units.h"

namespace retape::trainer {

struct NamedBytes {
  std::string name;
  std::string dtype;  // as the format spells it: "F32", "BF16", "I32", ...
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // row-major, little-endian
};

// Where a file has a tensor.
struct StoredTensor {
  std::string name;
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::int64_t begin = 0;  // byte of the file
  Bytes bytes = 0;
};

// Free text that travels in a file's header.
using SafetensorsMetadata = std::map<std::string, std::string>;

// Size of one element; 0 for a dtype that the format does not have.
Bytes bytes_per_element(std::string_view dtype);

// "[50257, 768]".
std::string format_shape(std::span<const std::int64_t> shape);

// A file opened for reading. A tensor's bytes are read when they are asked for; all reads throw DataError for a file
// that has shrunk meanwhile.
class SafetensorsFile {
 public:
  // Validates the header whole: sizes within the file, known dtypes, bytes that fit shapes, no tensor twice, no byte of
  // the file that belongs to no tensor or to two. Takes at most 16 bytes of memory for each of the header's and 64 MiB.
  explicit SafetensorsFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return file_.path(); }
  const SafetensorsMetadata& metadata() const { return metadata_; }
  // The length field and the JSON: the file's bytes before the first tensor.
  const std::string& header() const { return header_; }

  // In the order of their bytes.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  bool has(std::string_view name) const { return index_.find(name) != index_.end(); }
  const StoredTensor& tensor(std::string_view name) const;

  // Fills `out` with the tensor's bytes from `offset`.
  void read(const StoredTensor& tensor, Bytes offset, std::span<std::byte> out) const;
  // All of them at once: for a tensor that is known to be small.
  std::vector<std::byte> read(const StoredTensor& tensor) const;
  // Hands the tensor's first `bytes` bytes over, one piece after the other, each of whole elements: no more than one of
  // them is in memory.
  using TakePiece = std::function<void(Bytes offset, std::span<const std::byte> piece)>;
  void visit(const StoredTensor& tensor, Bytes bytes, const TakePiece& take) const;

 private:
  data::InputFile file_;
  std::string header_;
  SafetensorsMetadata metadata_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string_view, std::size_t> index_;  // of tensors_, by their names
};

// The bytes that come before those of `tensors`: same input, same bytes. Padded so that the first tensor begins at a
// multiple of 8; the others then do too if the larger dtypes come first. `path` is for the messages of errors: a
// tensor named twice, an unknown dtype, bytes that do not fit the shape.
std::string safetensors_header(const std::filesystem::path& path, std::span<const NamedBytes> tensors,
                               const SafetensorsMetadata& metadata);

// Writes the tensors in the order given. The path holds its old contents until all of the new ones are on disk.
void write_safetensors(const std::filesystem::path& path, std::span<const NamedBytes> tensors,
                       const SafetensorsMetadata& metadata = {});

}  // namespace retape::trainer
