// The one place that tells oneDNN 2 from oneDNN 3, which dropped the operation descriptors.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

namespace retape::nn::cpu {

struct MatmulDescs {
  dnnl::memory::desc a, b, c;
  dnnl::memory::desc bias = {};  // empty: none
};

// What oneDNN chose for c = a b + bias. Where the processor has no such product the result is empty if `may_be_absent`
// is true; otherwise dnnl::error is thrown.
dnnl::matmul::primitive_desc describe_matmul(const dnnl::engine& engine, const MatmulDescs& descs,
                                             const dnnl::primitive_attr& attributes, bool may_be_absent = false);

}  // namespace retape::nn::cpu
