// The backends that run kernels. A kernel is a struct that knows none of them.
//
// Each backend has, for every kernel, an instance of run_kernel() and, where the kernel has a `void* workspace` to
// fill, of workspace_of_kernel(); they lie beside what they run, in nn/kernels/cpu/ and its like. A kernel that a
// backend lacks is an error of the linker, which names both.
#pragma once

#include "nn/base/units.h"

namespace retape::nn::cpu {

class Machine;

template <class Kernel>
void run_kernel(Machine& machine, const Kernel& kernel);
// How much scratch memory it needs.
template <class Kernel>
Bytes workspace_of_kernel(Machine& machine, const Kernel& kernel);

}  // namespace retape::nn::cpu
