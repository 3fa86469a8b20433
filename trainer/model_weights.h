// A GPT's weights as Hugging Face's GPT-2 stores them: safetensors, names as in Gpt::parameters().
#pragma once

#include <filesystem>
#include <vector>

#include "trainer/gpt.h"
#include "trainer/safetensors.h"

namespace retape::trainer {

// Loads every parameter, from F32, BF16 or F16. Names may lack "transformer."; masks that some files carry are passed
// over; of a position table that is longer than the model's, the first rows are taken. A model that ties its embeddings
// takes a head too if it is the token table once more. Throws DataError for a tensor that is missing, unknown or of
// another shape, and for a head that such a model cannot have, before any weight has changed.
void import_weights(const std::filesystem::path& path, nn::Context& context, Gpt& model);

// Throws DataError as import_weights does, without a model of that size.
void require_weights(const std::filesystem::path& path, const GptShape& shape);

// The vocabulary of the file's model: the rows of its token table. Throws DataError for a file without one.
std::int64_t vocab_in(const std::filesystem::path& path);

// Throws DataError that names the first parameter with a value that is not finite.
void require_finite(const Gpt& model);

// Writes every parameter as F32, and that an export did it. Throws as require_finite() does.
void export_weights(const std::filesystem::path& path, const Gpt& model);
// Whether export_weights() wrote the file.
bool is_export(const std::filesystem::path& path);

// A tensor of the host's memory as the file format sees it. The bytes live as long as the tensor.
NamedBytes named_bytes(std::string name, const nn::Tensor& tensor);

}  // namespace retape::trainer
