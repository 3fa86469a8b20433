#include <unistd.h>

#include "nn/runtime/cpu/machine.h"
#include "nn/runtime/cuda/open.h"
#include "nn/runtime/device.h"
#include "parallel/comm/communicator.h"
#include "trainer/commands.h"
#include "trainer/commands/report_header.h"
#include "trainer/machine_peak.h"
#include "trainer/one_line.h"

namespace retape::trainer {
namespace {

void print_backend(std::string_view name, const std::string& reason) {
  print(fmt::format("{:<9}  {}\n", name, reason.empty() ? "ready" : "not available: " + reason));
}

}  // namespace

int doctor() {
  const Bytes memory = static_cast<Bytes>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE);
  nn::Device device({});
  const std::string& limit = device.cpu().thread_limit();
  print(fmt::format("processor  {}, {} threads{}, {}\n", machine_name(), device.cpu().threads(),
                    limit.empty() ? "" : fmt::format(" (no more: {})", limit), format_bytes(memory)));
  for (const nn::DType dtype : {nn::DType::f32, nn::DType::bf16}) {
    print(fmt::format("{:<9}  {:.0f} GFLOP/s in matrix products\n", name(dtype), measure_peak_flops(0, dtype) * 1e-9));
  }
  print_backend("cpu", {});
  print_backend("meta", {});
  print_backend("cuda", nn::cuda::why_unavailable());
  print_backend("mpi", parallel::mpi::why_unavailable());
  print_backend("nccl", parallel::nccl::why_unavailable());
  return 0;
}

}  // namespace retape::trainer
