// How an op runs a kernel.
//
// A kernel is a struct of raw pointers, extents and dtypes; the backends that run it (nn/kernels/backends.h) are found
// by its type, so that adding one touches no table. On the meta device nothing runs, and workspaces have the size that
// the modelled device would ask for.
//
// Kernels check nothing: ops have checked shapes and dtypes. They are deterministic: every sum has an order that
// depends on the shapes and the thread count alone.
#pragma once

#include "nn/kernels/backends.h"
#include "nn/runtime/context.h"
#include "nn/tensor/tensor.h"

namespace retape::nn {

template <class Kernel>
void launch(Context& context, const Kernel& kernel) {
  if (context.device().computes()) {
    cpu::run_kernel(context.device().cpu(), kernel);
  }
}

// The same for a kernel that needs scratch memory: it holds a workspace while it runs.
template <class Kernel>
void launch_with_workspace(Context& context, Kernel kernel) {
  const Bytes bytes = cpu::workspace_of_kernel(context.device().cpu(), kernel);
  Tensor workspace;
  if (bytes > 0) {
    workspace = Tensor(context.device(), Shape{ceil_div(bytes, size_of(DType::f32))}, DType::f32, Tag::workspace);
    kernel.workspace = workspace.data();
  }
  launch(context, kernel);
}

}  // namespace retape::nn
