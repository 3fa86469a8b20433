#include "trainer/machine_peak.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "nn/kernels/launch.h"
#include "nn/kernels/matmul.h"

namespace retape::trainer {

namespace {

// What keeps the machine busy in one round may be over in the next.
constexpr int kRounds = 5;
constexpr std::chrono::milliseconds kBetweenRounds{20};
constexpr int kRuns = 4;  // of a round; the first ones compile the primitive and wake the threads

}  // namespace

double measure_peak_flops(int threads, nn::DType dtype) {
  constexpr std::int64_t kExtent = 1024;
  // A device of its own, so that nothing of this shows in the run's memory.
  nn::Device device({.kind = nn::DeviceKind::cpu, .threads = threads});
  nn::Context context(device);
  const nn::Shape shape{kExtent, kExtent};
  nn::Tensor a(device, shape, dtype, nn::Tag::workspace);
  nn::Tensor b(device, shape, dtype, nn::Tag::workspace);
  const nn::Tensor c(device, shape, dtype, nn::Tag::workspace);
  a.fill_zero();
  b.fill_zero();
  double best = 0;
  const auto run = [&] {
    const auto start = std::chrono::steady_clock::now();
    nn::launch_with_workspace(context, nn::Matmul{.a = a.data(),
                                                  .b = b.data(),
                                                  .c = c.data(),
                                                  .m = kExtent,
                                                  .n = kExtent,
                                                  .k = kExtent,
                                                  .in = dtype,
                                                  .out = dtype});
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * kExtent * kExtent * kExtent / time.count());
  };
  for (int round = 0; round < kRounds; ++round) {
    if (round > 0) {
      std::this_thread::sleep_for(kBetweenRounds);
    }
    for (int i = 0; i < kRuns; ++i) {
      run();
    }
  }
  return best;
}

}  // namespace retape::trainer
