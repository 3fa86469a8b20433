#include "nn/kernels/batched_matmul.h"

#include "nn/kernels/cpu/implement.h"

namespace retape::nn::cpu {

// In matmul.cpp.
extern template Bytes workspace_of_kernel(Machine&, const Matmul&);
extern template void run_kernel(Machine&, const Matmul&);

Bytes workspace_bytes(Machine& machine, const MatmulBatch& kernel) {
  return workspace_of_kernel(machine, kernel.first);
}

void run(Machine& machine, const MatmulBatch& kernel) {
  const Matmul& first = kernel.first;
  Matmul product = first;
  product.workspace = kernel.workspace;
  for (std::int64_t i = 0; i < kernel.batch; ++i) {
    product.a = static_cast<const char*>(first.a) + i * first.m * first.k * size_of(first.in);
    product.b = static_cast<const char*>(first.b) + i * first.k * first.n * size_of(first.in);
    product.c = static_cast<char*>(first.c) + i * first.m * first.n * size_of(first.out);
    run_kernel(machine, product);
  }
}

template Bytes workspace_of_kernel(Machine&, const MatmulBatch&);
template void run_kernel(Machine&, const MatmulBatch&);

}  // namespace retape::nn::cpu
