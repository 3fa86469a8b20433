#pragma once

#include <oneapi/dnnl/dnnl.hpp>

namespace retape::nn::cpu {

// What oneDNN chose for c = a b (+ bias, unless that desc is empty), in the words of oneDNN 2 (Debian 12) or 3 (Debian
// 13, Ubuntu 24.04): version 3 dropped the operation descriptors. The project knows no other difference between them.
// Where the processor has no such product, the result is empty if `may_be_absent` is true; otherwise dnnl::error.
dnnl::matmul::primitive_desc describe_matmul(const dnnl::engine& engine, const dnnl::memory::desc& a,
                                             const dnnl::memory::desc& b, const dnnl::memory::desc& bias,
                                             const dnnl::memory::desc& c, const dnnl::primitive_attr& attributes,
                                             bool may_be_absent = false);

}  // namespace retape::nn::cpu
