// How an op runs a kernel.
//
// A kernel is a struct of raw pointers, extents and dtypes (its signature), and for each backend an overload of
//
//   void run(cpu::Machine&, const Kernel&)              in nn/kernels/cpu/
//   Bytes workspace_bytes(cpu::Machine&, const Kernel&)   where the kernel has a `void* workspace` to fill
//
// found by the kernel's type, so that adding one touches no table. On the meta device nothing runs, and workspaces have
// the size that the modelled device would ask for.
//
// Kernels check nothing: ops have checked shapes and dtypes. They are deterministic: every sum has an order that
// depends on the shapes and the thread count alone.
#pragma once

#include "nn/runtime/context.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

template <class Kernel>
void launch(Context& context, const Kernel& kernel) {
  if (context.device().computes()) {
    run(context.device().cpu(), kernel);
  }
}

// The same for a kernel that needs scratch memory: it holds a workspace while it runs.
template <class Kernel>
void launch_with_workspace(Context& context, Kernel kernel) {
  const Bytes bytes = workspace_bytes(context.device().cpu(), kernel);
  Tensor workspace;
  if (bytes > 0) {
    workspace = Tensor(context.device(), Shape{ceil_div(bytes, size_of(DType::f32))}, DType::f32, Tag::workspace);
    kernel.workspace = workspace.data();
  }
  launch(context, kernel);
}

}  // namespace retape::nn
