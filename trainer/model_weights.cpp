#include "trainer/model_weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "data/files/output_mark.h"

namespace retape::trainer {
namespace {

constexpr std::string_view kPrefix = "transformer.";
constexpr std::string_view kTokenTable = "transformer.wte.weight";
constexpr std::string_view kHead = "lm_head.weight";
constexpr const char* kExport = "export";  // the command whose mark exports carry

// IEEE half precision: 5 exponent bits, 10 fraction bits.
float from_half(std::uint16_t half) {
  const int exponent = (half >> 10) & 0x1f;
  const int fraction = half & 0x3ff;
  const float sign = (half & 0x8000) != 0 ? -1.0F : 1.0F;
  if (exponent == 31) {
    return fraction == 0 ? sign * INFINITY : NAN;
  }
  return exponent == 0 ? sign * std::ldexp(static_cast<float>(fraction), -24)
                       : sign * std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
}

// The tensor's first `elems` elements.
template <class Stored, class Convert>
std::vector<float> converted(const SafetensorsFile& file, const StoredTensor& tensor, Elems elems, Convert convert) {
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(elems));
  const auto append = [&](Bytes /*offset*/, std::span<const std::byte> piece) {
    for (std::size_t at = 0; at < piece.size(); at += sizeof(Stored)) {
      Stored stored{};
      std::memcpy(&stored, piece.data() + at, sizeof stored);
      values.push_back(convert(stored));
    }
  };
  file.visit(tensor, elems * static_cast<Bytes>(sizeof(Stored)), append);
  return values;
}

// The file's name for a parameter, with the prefix or without; empty where it has neither.
std::string name_in_file(const SafetensorsFile& file, std::string_view name) {
  if (file.has(name)) {
    return std::string(name);
  }
  const std::string_view bare = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
  return std::string(file.has(bare) ? bare : std::string_view());
}

bool is_mask(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
}

// The setting that the rows of a table follow.
std::string meaning_of_shape(std::string_view name, const GptShape& shape) {
  return name.ends_with("wpe.weight")   ? fmt::format(" for model.seq_len = {}", shape.seq_len)
         : name.ends_with("wte.weight") ? fmt::format(" for a vocabulary of {}", shape.vocab)
                                        : std::string();
}

// A table of positions serves every shorter one too: its first rows are the same positions.
bool serves(const StoredTensor& tensor, const nn::Parameter& parameter) {
  const nn::Shape& shape = parameter.shape();
  const bool longer = parameter.name().ends_with("wpe.weight") && tensor.shape.size() == 2 &&
                      tensor.shape[0] > shape[0] && tensor.shape[1] == shape[1];
  return longer || format_shape(tensor.shape) == shape.str();
}

bool is_same_contents(const SafetensorsFile& file, const StoredTensor& a, const StoredTensor& b) {
  bool is_same = a.dtype == b.dtype && a.shape == b.shape;
  std::vector<std::byte> other;
  if (is_same) {
    file.visit(a, a.bytes, [&](Bytes offset, std::span<const std::byte> piece) {
      other.resize(piece.size());
      file.read(b, offset, other);
      is_same = is_same && std::ranges::equal(piece, other);
    });
  }
  return is_same;
}

// Where the model has one table for both, a head of its own would be lost.
void require_shared_head(const SafetensorsFile& file) {
  const StoredTensor& table = file.tensor(name_in_file(file, kTokenTable));
  require<DataError>(is_same_contents(file, file.tensor(kHead), table),
                     "[weights] {}: tensor {}: expected the contents of {}, got others; set model.tie_embeddings=false",
                     file.path().string(), kHead, table.name);
}

// The names in the file of all parameters, in their order.
std::vector<std::string> match_names(const SafetensorsFile& file, const Gpt& model) {
  std::vector<std::string> names;
  std::set<std::string> used;
  for (const nn::Parameter* parameter : model.parameters()) {
    const std::string name = name_in_file(file, parameter->name());
    require<DataError>(!name.empty(), "[weights] {}: expected a tensor {}, found none", file.path().string(),
                       parameter->name());
    const StoredTensor& tensor = file.tensor(name);
    require<DataError>(serves(tensor, *parameter), "[weights] {}: tensor {}: expected shape {}{}, got {}",
                       file.path().string(), name, parameter->shape().str(), meaning_of_shape(name, model.shape()),
                       format_shape(tensor.shape));
    used.insert(name);
    names.push_back(name);
  }
  for (const StoredTensor& tensor : file.tensors()) {
    const bool is_shared_head = tensor.name == kHead && model.shape().tie_embeddings;
    require<DataError>(used.contains(tensor.name) || is_mask(tensor.name) || is_shared_head,
                       "[weights] {}: expected no tensor {} in a model of {} layers", file.path().string(), tensor.name,
                       model.shape().layers);
    if (is_shared_head) {
      require_shared_head(file);
    }
  }
  return names;
}

void require_floating(const StoredTensor& tensor, const std::filesystem::path& path) {
  require<DataError>(tensor.dtype == "F32" || tensor.dtype == "BF16" || tensor.dtype == "F16",
                     "[weights] {}: tensor {}: expected F32, BF16 or F16, got {}", path.string(), tensor.name,
                     tensor.dtype);
}

std::vector<float> to_floats(const SafetensorsFile& file, const StoredTensor& tensor, Elems elems) {
  if (tensor.dtype == "F32") {
    return converted<float>(file, tensor, elems, [](float value) { return value; });
  }
  if (tensor.dtype == "BF16") {
    return converted<nn::bf16>(file, tensor, elems, [](nn::bf16 value) { return nn::to_float(value); });
  }
  return converted<std::uint16_t>(file, tensor, elems, from_half);
}

}  // namespace

void require_weights(const std::filesystem::path& path, const GptShape& shape) {
  nn::Device meta({.kind = nn::DeviceKind::meta});
  const Gpt model(meta, shape);
  const SafetensorsFile file(path);
  for (const std::string& name : match_names(file, model)) {
    require_floating(file.tensor(name), path);
  }
}

void import_weights(const std::filesystem::path& path, nn::Context& context, Gpt& model) {
  const SafetensorsFile file(path);
  const std::vector<std::string> names = match_names(file, model);
  for (const std::string& name : names) {
    require_floating(file.tensor(name), path);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    nn::Parameter& parameter = *model.parameters()[i];
    parameter.load(context, to_floats(file, file.tensor(names[i]), parameter.elems()));
  }
}

std::int64_t vocab_in(const std::filesystem::path& path) {
  const SafetensorsFile file(path);
  const std::string name = name_in_file(file, kTokenTable);
  require<DataError>(!name.empty(), "[weights] {}: expected a tensor {}, found none", path.string(), kTokenTable);
  const StoredTensor& table = file.tensor(name);
  require<DataError>(table.shape.size() == 2 && table.bytes > 0,
                     "[weights] {}: tensor {}: expected a row for each token of a vocabulary, got {}", path.string(),
                     name, format_shape(table.shape));
  return table.shape.front();
}

NamedBytes named_bytes(std::string name, const nn::Tensor& tensor) {
  std::vector<std::int64_t> shape;
  shape.reserve(nn::Shape::kMaxRank);
  for (int i = 0; i < tensor.shape().rank(); ++i) {
    shape.push_back(tensor.shape()[i]);
  }
  return {.name = std::move(name),
          .dtype = tensor.dtype() == nn::DType::f32    ? "F32"
                   : tensor.dtype() == nn::DType::bf16 ? "BF16"
                                                       : "I32",
          .shape = std::move(shape),
          .bytes = {static_cast<const std::byte*>(tensor.data()), static_cast<std::size_t>(tensor.bytes())}};
}

void require_finite(const Gpt& model) {
  for (const nn::Parameter* parameter : model.parameters()) {
    const std::vector<float> values = parameter->weight().to_host<float>();
    const auto found = std::find_if_not(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
    require<DataError>(found == values.end(), "[weights] {}: expected finite numbers, got {} at {}", parameter->name(),
                       found == values.end() ? 0 : *found, found - values.begin());
  }
}

void export_weights(const std::filesystem::path& path, const Gpt& model) {
  require_finite(model);
  std::vector<NamedBytes> tensors;
  tensors.reserve(model.parameters().size());
  for (const nn::Parameter* parameter : model.parameters()) {
    tensors.push_back(named_bytes(parameter->name(), parameter->weight()));
  }
  write_safetensors(path, tensors, {{"format", "pt"}, {data::kMarkKey, kExport}});
}

bool is_export(const std::filesystem::path& path) {
  try {
    const SafetensorsFile file(path);
    const auto mark = file.metadata().find(data::kMarkKey);
    return mark != file.metadata().end() && mark->second == kExport;
  } catch (const DataError&) {
    return false;  // some other file
  }
}

}  // namespace retape::trainer
