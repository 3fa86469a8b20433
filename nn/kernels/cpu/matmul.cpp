// Matrix products through oneDNN's matmul primitive.
//
// A primitive is made once for each set of extents, dtypes and flags, and kept by the Machine, so that a product that
// is run again has the bits of the first. All memory that oneDNN needs is in the workspace.
#include "nn/kernels/matmul.h"

#include <omp.h>

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "nn/runtime/allocator.h"
#include "nn/runtime/cpu/machine.h"

namespace retape::nn::cpu {

namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;

// Rows of c from which it pays to copy b into the blocked layout that the fast kernels read.
constexpr std::int64_t kPackedRows = 128;

dnnl::memory::data_type to_dnnl(DType dtype) {
  return dtype == DType::bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// A row-major [rows, columns], or the transpose of a row-major [columns, rows].
Desc matrix(std::int64_t rows, std::int64_t columns, DType dtype, bool transposed) {
  const Dims strides = transposed ? Dims{1, rows} : Dims{columns, 1};
  return {Dims{rows, columns}, to_dnnl(dtype), strides};
}

Desc any_layout(const Desc& desc) {
  return {desc.dims(), desc.data_type(), dnnl::memory::format_tag::any};
}

dnnl::primitive_attr own_scratchpad() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

// Everything that identifies a product except its pointers.
std::string key_of(const Matmul& kernel) {
  std::string key = "matmul";
  for (const std::int64_t extent : {kernel.m, kernel.n, kernel.k}) {
    key.append(reinterpret_cast<const char*>(&extent), sizeof extent);
  }
  for (const int flag :
       {static_cast<int>(kernel.transpose_a), static_cast<int>(kernel.transpose_b), static_cast<int>(kernel.accumulate),
        static_cast<int>(kernel.bias != nullptr), static_cast<int>(kernel.in), static_cast<int>(kernel.out)}) {
    key.push_back(static_cast<char>(flag));
  }
  return key;
}

// A compiled product: b's copy into the kernel's layout where there is one, and the multiplication.
class Plan {
 public:
  Plan(const dnnl::engine& engine, const Matmul& kernel);

  Bytes workspace_bytes() const { return workspace_bytes_; }
  void execute(dnnl::stream& stream, const Matmul& kernel);

 private:
  struct Operand {
    dnnl::memory memory;
    Bytes offset = 0;  // in the workspace
  };
  Operand in_workspace(const dnnl::engine& engine, const Desc& desc);
  static void bind(dnnl::memory& memory, const void* data) { memory.set_data_handle(const_cast<void*>(data)); }
  static void bind(Operand& operand, void* workspace) {
    operand.memory.set_data_handle(static_cast<char*>(workspace) + operand.offset);
  }

  Bytes workspace_bytes_ = 0;
  dnnl::matmul multiply_;
  std::optional<dnnl::reorder> pack_b_;
  dnnl::memory a_, b_, c_;
  dnnl::memory bias_;
  Operand packed_b_, pack_scratch_, scratch_;
};

Plan::Operand Plan::in_workspace(const dnnl::engine& engine, const Desc& desc) {
  Operand operand{dnnl::memory(desc, engine, DNNL_MEMORY_NONE), workspace_bytes_};
  workspace_bytes_ += round_up(static_cast<Bytes>(desc.get_size()), Allocator::kAlignment);
  return operand;
}

Plan::Plan(const dnnl::engine& engine, const Matmul& kernel) {
  const Desc a = matrix(kernel.m, kernel.k, kernel.in, kernel.transpose_a);
  const Desc b = matrix(kernel.k, kernel.n, kernel.in, kernel.transpose_b);
  const Desc c = matrix(kernel.m, kernel.n, kernel.out, false);
  const Desc bias = kernel.bias != nullptr ? matrix(1, kernel.n, kernel.in, false) : Desc();
  const Desc wanted_b = kernel.m >= kPackedRows ? any_layout(b) : b;

  dnnl::primitive_attr attributes = own_scratchpad();
  if (kernel.accumulate) {
    dnnl::post_ops add_to_c;
    add_to_c.append_sum(1.0F);
    attributes.set_post_ops(add_to_c);
  }
  const dnnl::matmul::desc product =
      kernel.bias != nullptr ? dnnl::matmul::desc(a, wanted_b, bias, c) : dnnl::matmul::desc(a, wanted_b, c);
  const dnnl::matmul::primitive_desc chosen(product, attributes, engine);
  multiply_ = dnnl::matmul(chosen);

  a_ = dnnl::memory(a, engine, DNNL_MEMORY_NONE);
  b_ = dnnl::memory(b, engine, DNNL_MEMORY_NONE);
  c_ = dnnl::memory(c, engine, DNNL_MEMORY_NONE);
  if (kernel.bias != nullptr) {
    bias_ = dnnl::memory(bias, engine, DNNL_MEMORY_NONE);
  }
  scratch_ = in_workspace(engine, chosen.scratchpad_desc());
  if (chosen.weights_desc() != b) {
    const dnnl::reorder::primitive_desc copy(engine, b, engine, chosen.weights_desc(), own_scratchpad());
    pack_b_ = dnnl::reorder(copy);
    packed_b_ = in_workspace(engine, chosen.weights_desc());
    pack_scratch_ = in_workspace(engine, copy.scratchpad_desc());
  }
}

void Plan::execute(dnnl::stream& stream, const Matmul& kernel) {
  bind(a_, kernel.a);
  bind(b_, kernel.b);
  bind(c_, kernel.c);
  bind(scratch_, kernel.workspace);
  if (pack_b_) {
    bind(packed_b_, kernel.workspace);
    bind(pack_scratch_, kernel.workspace);
    pack_b_->execute(
        stream, {{DNNL_ARG_FROM, b_}, {DNNL_ARG_TO, packed_b_.memory}, {DNNL_ARG_SCRATCHPAD, pack_scratch_.memory}});
  }
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, a_},
                                                  {DNNL_ARG_WEIGHTS, pack_b_ ? packed_b_.memory : b_},
                                                  {DNNL_ARG_DST, c_},
                                                  {DNNL_ARG_SCRATCHPAD, scratch_.memory}};
  if (kernel.bias != nullptr) {
    bind(bias_, kernel.bias);
    arguments.emplace(DNNL_ARG_BIAS, bias_);
  }
  multiply_.execute(stream, arguments);
  stream.wait();
}

Plan& plan_of(Machine& machine, const Matmul& kernel) {
  // Primitives are compiled for, and run with, the threads that OpenMP grants the calling thread.
  omp_set_num_threads(machine.threads());
  return machine.cached<Plan>(key_of(kernel), [&] { return Plan(machine.engine(), kernel); });
}

}  // namespace

Bytes workspace_bytes(Machine& machine, const Matmul& kernel) {
  return plan_of(machine, kernel).workspace_bytes();
}

void run(Machine& machine, const Matmul& kernel) {
  plan_of(machine, kernel).execute(machine.stream(), kernel);
}

}  // namespace retape::nn::cpu
