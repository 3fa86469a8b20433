// Matrix products through oneDNN's matmul primitive.
//
// A primitive is made once for each set of extents, dtypes and flags, and kept by the Machine; one that is made again
// is the same. So a product that is run again has the bits of the first. All memory that oneDNN needs is in the
// workspace, but for one case: on processors where it falls back to its driver of plain gemm (gemm:jit), that driver
// allocates the buffers which it packs a and b into.
#include "nn/kernels/matmul.h"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nn/base/error.h"
#include "nn/kernels/cpu/describe_matmul.h"
#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/widened_matmul.h"
#include "nn/runtime/allocator.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn::cpu {

namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

// A product over a part of k, with the stride between the rows of a as they lie in memory.
struct Part {
  Matmul kernel;
  std::int64_t a_stride = 0;
};

// Whether to copy b into the blocked layout of oneDNN's kernels first. The time of the copy is to that of the product
// as 1 to m. Without it, rows of f32 whose stride is near a multiple of the page size evict each other from the caches,
// which halves the speed; otherwise oneDNN's own copies, a block at a time, are nearly as good. A vocabulary's table is
// not worth a second one in memory. (Rates with and without: tests/bench/nn/kernels/matmul_bench.cpp.)
bool packs_b(const Matmul& kernel) {
  constexpr std::int64_t kFewestRowsOfPlainF32 = 512;
  constexpr std::int64_t kFewestRows = 2048;
  constexpr Bytes kLargestCopy = 64_MiB;
  const bool plain_f32 = kernel.in == DType::f32 && !kernel.transpose_b;
  return kernel.m >= (plain_f32 ? kFewestRowsOfPlainF32 : kFewestRows) &&
         kernel.k * kernel.n * size_of(kernel.in) <= kLargestCopy;
}

// The length of the parts that a product's sums are taken in. Products with a long k are up to a half faster in parts,
// since what oneDNN copies for one part stays in the caches: those in f32, and in bf16 those that transpose a (where
// others only pay for reading c again). Parts meet in c, which must be f32 to lose nothing; those of a transposed b are
// no faster.
std::int64_t part_of_k(const Matmul& kernel) {
  constexpr std::int64_t kStep = 32;  // what a tile of bf16 takes at once
  const std::int64_t longest = kernel.in == DType::f32 ? 512 : 768;
  const bool faster_in_parts =
      kernel.out == DType::f32 && !kernel.transpose_b && (kernel.in == DType::f32 || kernel.transpose_a);
  return faster_in_parts ? round_up(ceil_div(kernel.k, ceil_div(kernel.k, longest)), kStep) : kernel.k;
}

Part part_at(const Matmul& kernel, std::int64_t begin, std::int64_t step) {
  const Bytes element_bytes = size_of(kernel.in);
  const std::int64_t a_stride = kernel.transpose_a ? kernel.m : kernel.k;
  Part part{.kernel = kernel, .a_stride = a_stride};
  part.kernel.k = std::min(step, kernel.k - begin);
  if (begin > 0) {
    const std::int64_t a_begin = kernel.transpose_a ? begin * a_stride : begin;
    part.kernel.a = static_cast<const char*>(kernel.a) + a_begin * element_bytes;
    part.kernel.b = static_cast<const char*>(kernel.b) + begin * kernel.n * element_bytes;
    part.kernel.bias = nullptr;
    part.kernel.accumulate = true;
  }
  return part;
}

// Calls f with the parts that add up to `kernel`, in order.
template <class F>
void for_each_part(const Matmul& kernel, F f) {
  const std::int64_t step = part_of_k(kernel);
  for (std::int64_t begin = 0; begin < kernel.k; begin += step) {
    f(part_at(kernel, begin, step));
  }
}

// The same without those between the second and the last, whose products differ from the second's in addresses only.
template <class F>
void for_each_kind_of_part(const Matmul& kernel, F f) {
  const std::int64_t step = part_of_k(kernel);
  for (std::int64_t begin = 0; begin < kernel.k; begin += step) {
    if (begin > step) {
      begin = (kernel.k - 1) / step * step;
    }
    f(part_at(kernel, begin, step));
  }
}

dnnl::memory::data_type to_dnnl(DType dtype) {
  return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// A row-major [rows, columns] with `stride` elements between rows, or the transpose of such a [columns, rows].
Desc matrix(std::int64_t rows, std::int64_t columns, std::int64_t stride, DType dtype, bool transposed = false) {
  const Dims strides = transposed ? Dims{1, stride} : Dims{stride, 1};
  return {Dims{rows, columns}, to_dnnl(dtype), strides};
}

// A matrix in whatever layout oneDNN's kernel likes best.
Desc any_layout(std::int64_t rows, std::int64_t columns, DType dtype) {
  return {Dims{rows, columns}, to_dnnl(dtype), dnnl::memory::format_tag::any};
}

dnnl::primitive_attr own_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);  // whatever ONEDNN_DEFAULT_FPMATH_MODE says
  return attributes;
}

// A compiled product: b's copy where it is packed, and the multiplication.
class Plan {
 public:
  Plan(const dnnl::engine& engine, const Part& part);

  Bytes workspace_bytes() const { return workspace_bytes_; }
  void execute(dnnl::stream& stream, const Matmul& kernel);

 private:
  using Arguments = std::unordered_map<int, dnnl::memory>;
  struct Scratch {
    dnnl::memory memory;
    Bytes offset = 0;  // in the workspace
  };

  dnnl::memory unbound(const Desc& desc) const { return {desc, engine_, DNNL_MEMORY_NONE}; }
  dnnl::memory in_workspace(const Desc& desc);

  dnnl::engine engine_;
  Bytes workspace_bytes_ = 0;
  std::vector<Scratch> scratch_;
  dnnl::memory a_, b_, c_;
  std::optional<dnnl::memory> bias_;
  std::optional<dnnl::reorder> pack_b_;
  Arguments pack_arguments_;
  dnnl::matmul multiply_;
  Arguments multiply_arguments_;
};

Plan::Plan(const dnnl::engine& engine, const Part& part) : engine_(engine) {
  const Matmul& kernel = part.kernel;
  const Desc a = matrix(kernel.m, kernel.k, part.a_stride, kernel.in, kernel.transpose_a);
  const Desc b = matrix(kernel.k, kernel.n, kernel.transpose_b ? kernel.k : kernel.n, kernel.in, kernel.transpose_b);
  const Desc c = matrix(kernel.m, kernel.n, kernel.n, kernel.out);
  const Desc bias = kernel.bias != nullptr ? matrix(1, kernel.n, kernel.n, kernel.in) : Desc();
  const MatmulDescs descs{
      .a = a, .b = packs_b(kernel) ? any_layout(kernel.k, kernel.n, kernel.in) : b, .c = c, .bias = bias};

  dnnl::primitive_attr attributes = own_scratchpad();
  if (kernel.accumulate) {
    dnnl::post_ops add_to_c;
    add_to_c.append_sum(1.0F);
    attributes.set_post_ops(add_to_c);
  }
  const dnnl::matmul::primitive_desc chosen = describe_matmul(engine, descs, attributes);
  multiply_ = dnnl::matmul(chosen);

  a_ = unbound(a);
  b_ = unbound(b);
  c_ = unbound(c);
  multiply_arguments_ = {{DNNL_ARG_SRC, a_},
                         {DNNL_ARG_WEIGHTS, b_},
                         {DNNL_ARG_DST, c_},
                         {DNNL_ARG_SCRATCHPAD, in_workspace(chosen.scratchpad_desc())}};
  if (kernel.bias != nullptr) {
    bias_ = unbound(bias);
    multiply_arguments_[DNNL_ARG_BIAS] = *bias_;
  }
  const Desc packed = chosen.weights_desc();
  if (packed != b) {
    const dnnl::reorder::primitive_desc copy(engine, b, engine, packed, own_scratchpad());
    pack_b_ = dnnl::reorder(copy);
    const dnnl::memory packed_b = in_workspace(packed);
    pack_arguments_ = {
        {DNNL_ARG_FROM, b_}, {DNNL_ARG_TO, packed_b}, {DNNL_ARG_SCRATCHPAD, in_workspace(copy.scratchpad_desc())}};
    multiply_arguments_[DNNL_ARG_WEIGHTS] = packed_b;
  }
}

dnnl::memory Plan::in_workspace(const Desc& desc) {
  scratch_.push_back({unbound(desc), workspace_bytes_});
  workspace_bytes_ += round_up(static_cast<Bytes>(desc.get_size()), Allocator::kAlignment);
  return scratch_.back().memory;
}

void Plan::execute(dnnl::stream& stream, const Matmul& kernel) {
  a_.set_data_handle(const_cast<void*>(kernel.a));
  b_.set_data_handle(const_cast<void*>(kernel.b));
  c_.set_data_handle(kernel.c);
  if (bias_) {
    bias_->set_data_handle(const_cast<void*>(kernel.bias));
  }
  if (workspace_bytes_ > 0) {
    for (Scratch& scratch : scratch_) {
      scratch.memory.set_data_handle(static_cast<char*>(kernel.workspace) + scratch.offset);
    }
  }
  if (pack_b_) {
    pack_b_->execute(stream, pack_arguments_);
  }
  multiply_.execute(stream, multiply_arguments_);
  stream.wait();
}

// Everything that identifies a part except its pointers.
std::string key_of(const Part& part) {
  const Matmul& kernel = part.kernel;
  std::string key = "matmul";
  for (const std::int64_t extent : {kernel.m, kernel.n, kernel.k, part.a_stride}) {
    key.append(reinterpret_cast<const char*>(&extent), sizeof extent);
  }
  for (const int flag :
       {static_cast<int>(kernel.transpose_a), static_cast<int>(kernel.transpose_b), static_cast<int>(kernel.accumulate),
        static_cast<int>(kernel.bias != nullptr), static_cast<int>(kernel.in), static_cast<int>(kernel.out)}) {
    key.push_back(static_cast<char>(flag));
  }
  return key;
}

// Calls f, which makes or runs the part's product, and puts what oneDNN throws into our words.
template <class F>
auto with_our_errors(const Part& part, std::string_view expected, F f) {
  try {
    return f();
  } catch (const dnnl::error& error) {
    const Matmul& kernel = part.kernel;
    const std::string message = fmt::format("[matmul] {} x {} x {}, {} to {}: expected {}, got: {}", kernel.m, kernel.k,
                                            kernel.n, name(kernel.in), name(kernel.out), expected, error.what());
    if (error.status == dnnl_out_of_memory) {
      fail<OutOfMemory>("{}", Whole{message});
    }
    fail<DeviceError>("{}", Whole{message});
  }
}

Plan& plan_of(Machine& machine, const Part& part) {
  return machine.cached<Plan>(key_of(part), [&] {
    return with_our_errors(part, "a product that this processor's oneDNN has",
                           [&] { return Plan(machine.engine(), part); });
  });
}

void multiply(Machine& machine, const Part& part) {
  Plan& plan = plan_of(machine, part);
  with_our_errors(part, "oneDNN to run it", [&] { plan.execute(machine.stream(), part.kernel); });
}

bool has_bf16(Machine& machine) {
  return machine.cached<bool>("matmul has bf16", [&] {
    const Desc square = matrix(64, 64, 64, DType::bf16);
    constexpr bool kMayBeAbsent = true;
    return static_cast<bool>(describe_matmul(machine.engine(), {.a = square, .b = square, .c = square},
                                             dnnl::primitive_attr(), kMayBeAbsent));
  });
}

}  // namespace

Bytes workspace_bytes(Machine& machine, const Matmul& kernel) {
  const Team team(machine.threads());  // primitives are compiled for, and run with, the threads of the calling thread
  if (kernel.in == DType::bf16 && !has_bf16(machine)) {
    return widened_workspace_bytes(machine, kernel);
  }
  Bytes bytes = 0;
  for_each_kind_of_part(kernel,
                        [&](const Part& part) { bytes = std::max(bytes, plan_of(machine, part).workspace_bytes()); });
  return bytes;
}

void run(Machine& machine, const Matmul& kernel) {
  const Team team(machine.threads());  // primitives are compiled for, and run with, the threads of the calling thread
  if (kernel.in == DType::bf16 && !has_bf16(machine)) {
    run_widened(machine, kernel);
    return;
  }
  for_each_part(kernel, [&](const Part& part) { multiply(machine, part); });
}

template Bytes workspace_of_kernel(Machine&, const Matmul&);
template void run_kernel(Machine&, const Matmul&);

}  // namespace retape::nn::cpu
