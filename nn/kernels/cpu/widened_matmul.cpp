#include "nn/kernels/cpu/widened_matmul.h"

#include "nn/kernels/elementwise.h"
#include "nn/runtime/allocator.h"

namespace retape::nn::cpu {

namespace {

// Where the f32 operands lie in the workspace, and behind them the workspace of the f32 product.
struct Layout {
  Bytes a = 0;
  Bytes b = 0;
  Bytes bias = 0;
  Bytes c = 0;
  Bytes product = 0;
};

Layout layout_of(const Matmul& kernel) {
  Bytes end = 0;
  const auto place = [&](Elems elems) {
    const Bytes begin = end;
    end += round_up(elems * size_of(DType::f32), Allocator::kAlignment);
    return begin;
  };
  Layout layout;
  layout.a = place(kernel.m * kernel.k);
  layout.b = place(kernel.k * kernel.n);
  layout.bias = place(kernel.bias != nullptr ? kernel.n : 0);
  layout.c = place(kernel.out == DType::f32 ? 0 : kernel.m * kernel.n);
  layout.product = end;
  return layout;
}

Matmul in_f32(Matmul kernel) {
  kernel.in = DType::f32;
  kernel.out = DType::f32;
  return kernel;
}

void convert(Machine& machine, const void* from, DType in, void* to, DType out, Elems elems) {
  run_kernel(machine, Scale{.x = from, .out = to, .elems = elems, .in = in, .out_dtype = out});
}

}  // namespace

Bytes widened_workspace_bytes(Machine& machine, const Matmul& kernel) {
  return layout_of(kernel).product + workspace_of_kernel(machine, in_f32(kernel));
}

void run_widened(Machine& machine, const Matmul& kernel) {
  const Layout layout = layout_of(kernel);
  char* const memory = static_cast<char*>(kernel.workspace);
  const auto widened = [&](const void* values, Bytes offset, Elems elems) {
    convert(machine, values, DType::bf16, memory + offset, DType::f32, elems);
    return memory + offset;
  };
  Matmul product = in_f32(kernel);
  product.workspace = memory + layout.product;
  product.a = widened(kernel.a, layout.a, kernel.m * kernel.k);
  product.b = widened(kernel.b, layout.b, kernel.k * kernel.n);
  if (kernel.bias != nullptr) {
    product.bias = widened(kernel.bias, layout.bias, kernel.n);
  }
  if (kernel.out == DType::f32) {
    run_kernel(machine, product);
    return;
  }
  const Elems elems = kernel.m * kernel.n;
  product.c = kernel.accumulate ? widened(kernel.c, layout.c, elems) : memory + layout.c;
  run_kernel(machine, product);
  convert(machine, product.c, DType::f32, kernel.c, kernel.out, elems);
}

}  // namespace retape::nn::cpu
