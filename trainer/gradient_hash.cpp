#include "trainer/gradient_hash.h"

#include <vector>

#include "data/files/checksum.h"

namespace retape::trainer {

std::uint64_t hash_gradients(const nn::Parameters& parameters) {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(parameters.size());
  for (nn::Parameter* parameter : parameters) {
    const nn::Tensor& gradient = parameter->gradient().gradient;
    const std::vector<float> values = gradient.defined() ? gradient.to_host<float>() : std::vector<float>();
    hashes.push_back(data::checksum(std::as_bytes(std::span(values))));
  }
  return data::checksum(std::as_bytes(std::span(hashes)));
}

}  // namespace retape::trainer
