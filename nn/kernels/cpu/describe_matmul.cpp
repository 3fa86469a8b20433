#include "nn/kernels/cpu/describe_matmul.h"

namespace retape::nn::cpu {

dnnl::matmul::primitive_desc describe_matmul(const dnnl::engine& engine, const MatmulDescs& descs,
                                             const dnnl::primitive_attr& attributes, bool may_be_absent) {
  const auto& [a, b, c, bias] = descs;
  const bool has_bias = bias != dnnl::memory::desc();
#if DNNL_VERSION_MAJOR >= 3
  using Chosen = dnnl::matmul::primitive_desc;
  return has_bias ? Chosen(engine, a, b, bias, c, attributes, may_be_absent)
                  : Chosen(engine, a, b, c, attributes, may_be_absent);
#else
  using Product = dnnl::matmul::desc;
  const Product product = has_bias ? Product(a, b, bias, c) : Product(a, b, c);
  return {product, attributes, engine, may_be_absent};
#endif
}

}  // namespace retape::nn::cpu
