// A trainer of one's own on Retape. Two ranks, threads of this process, train a small network twice: keeping every
// activation, and with each block in a checkpoint() whose input is divided between the ranks and lies in a slab in host
// memory. The losses and gradients of all steps have the same bits.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <deque>

#include "block.h"
#include "checkpointing/checkpointer.h"
#include "nn/ops/losses.h"
#include "nn/optim/adamw.h"
#include "parallel/comm/thread/ranks.h"

namespace embed {
namespace {

constexpr std::int64_t kRows = 64;
constexpr std::int64_t kDim = 16;
constexpr int kBlocks = 6;
constexpr int kSteps = 60;

nn::Tensor wave(nn::Device& device, float frequency) {
  nn::Tensor tensor(device, {kRows, kDim}, nn::DType::f32, nn::Tag::activations);
  std::vector<float> values(kRows * kDim);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = std::sin(frequency * static_cast<float>(i));
  }
  tensor.from_host<float>(values);
  return tensor;
}

struct Run {
  std::vector<float> losses;     // of each step
  std::vector<float> gradients;  // of each parameter in each step
  nn::Bytes activation_peak = 0;
  nn::Bytes offloaded = 0;
  retape::checkpointing::StoreStats store;  // before a backward
};

Run train(retape::parallel::Communicator& ranks, bool checkpointed) {
  nn::Device device({.kind = nn::DeviceKind::cpu, .threads = 1});
  nn::Context context(device);
  retape::checkpointing::Checkpointer checkpointer(context, retape::parallel::make_topology(ranks, ranks.size()));
  checkpointer.configure({.partition_activations = true,
                          .contiguous_memory_optimization = true,
                          .cpu_checkpointing = true,
                          .number_checkpoints = kBlocks});
  checkpointer.model_parallel_seed(1);

  std::deque<Block> blocks;
  nn::Parameters parameters;
  for (int i = 0; i < kBlocks; ++i) {
    const nn::Parameters own = blocks.emplace_back(context, kDim).parameters();
    parameters.insert(parameters.end(), own.begin(), own.end());
  }
  nn::AdamW optimizer(context, parameters, {});
  const nn::Tensor inputs = wave(device, 0.1F);
  const nn::Tensor targets = wave(device, 0.3F);

  Run run;
  for (int step = 0; step < kSteps; ++step) {
    nn::Tape tape(context, checkpointer.tape_options());
    nn::Var x = tape.leaf(inputs);
    for (Block& block : blocks) {
      const auto forward = [&](nn::Var in) { return block(tape, std::move(in)); };
      x = checkpointed ? checkpointer.checkpoint(tape, forward, std::move(x)) : forward(std::move(x));
    }
    nn::Var loss = nn::mean_squared_error(tape, std::move(x), tape.leaf(targets));
    run.losses.push_back(loss.data().to_host<float>().front());
    run.store = checkpointer.store_stats();
    tape.backward(std::move(loss));
    for (nn::Parameter* parameter : parameters) {
      const std::vector<float> values = parameter->gradient().gradient.to_host<float>();
      run.gradients.insert(run.gradients.end(), values.begin(), values.end());
    }
    optimizer.step(context, 3e-3);
    nn::clear_gradients(parameters);
  }
  run.activation_peak = device.memory().stats().activation_peak;
  run.offloaded = checkpointer.take_offloaded_bytes();
  return run;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// What rank 0 found; all ranks train the same replica.
bool compare(const Run& kept, const Run& checkpointed) {
  const bool same = same_bits(kept.losses, checkpointed.losses) && same_bits(kept.gradients, checkpointed.gradients);
  fmt::print("loss: {:.4f} at step 0, {:.4f} at step {}\n", kept.losses.front(), kept.losses.back(), kSteps - 1);
  fmt::print("activations at their peak: {} kept, {} checkpointed, {} copied to the host\n",
             nn::format_bytes(kept.activation_peak), nn::format_bytes(checkpointed.activation_peak),
             nn::format_bytes(checkpointed.offloaded));
  fmt::print("losses and gradients of all steps: {}\n", same ? "the same bits" : "different bits");
  return same && kept.losses.back() < kept.losses.front() / 2 && checkpointed.activation_peak < kept.activation_peak &&
         checkpointed.offloaded > 0 && checkpointed.store.partitioned > 0 && checkpointed.store.slab_live > 0;
}

}  // namespace
}  // namespace embed

int main() {
  bool ok = false;
  retape::parallel::run_ranks(2, [&ok](retape::parallel::Communicator& ranks) {
    const embed::Run kept = embed::train(ranks, false);
    const embed::Run checkpointed = embed::train(ranks, true);
    if (ranks.rank() == 0) {
      ok = embed::compare(kept, checkpointed);
    }
  });
  return ok ? 0 : 1;
}
