#include "tests/programs/values.h"

#include "nn/base/error.h"

namespace retape::programs {

Values read(const nn::Tensor& tensor) {
  const auto count = static_cast<std::size_t>(tensor.elems());
  if (tensor.dtype() == nn::DType::f32) {
    const float* from = tensor.data_as<float>();
    return {from, from + count};
  }
  Values values(count);
  const nn::bf16* from = tensor.data_as<nn::bf16>();
  std::transform(from, from + count, values.begin(), [](nn::bf16 v) { return nn::to_float(v); });
  return values;
}

void write(const nn::Tensor& tensor, const Values& values) {
  require(static_cast<Elems>(values.size()) == tensor.elems(), "[programs] expected {} values, got {}", tensor.elems(),
          values.size());
  if (tensor.dtype() == nn::DType::f32) {
    std::copy(values.begin(), values.end(), tensor.data_as<float>());
  } else {
    std::transform(values.begin(), values.end(), tensor.data_as<nn::bf16>(), nn::to_bf16);
  }
}

Values fold(const Values& d, std::size_t size) {
  Values sums(size);
  for (std::size_t i = 0; i < d.size(); ++i) {
    sums[i % size] += d[i];
  }
  return sums;
}

}  // namespace retape::programs
