// Slabs, evaluation, and host memory that is exhausted: faults 10, 12, 13 and 16.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>

#include "nn/base/error.h"
#include "tests/unit/checkpointing/probe.h"
#include "tests/unit/checkpointing/rank.h"
#include "tests/unit/checkpointing/tiny_model.h"

namespace retape::checkpointing {
namespace {

using nn::Shape;
using nn::Tape;
using nn::Var;

// A forward of three checkpoints of a shape, whose backward may come at any time. Without configure() all is kept.
class InFlight {
 public:
  InFlight(Rank& rank, const Shape& shape) : probes_(rank), tape_(rank.context, rank.checkpointer.tape_options()) {
    Var x = probes_.probe(tape_, probes_.leaf(tape_, shape), 0);
    for (int id = 1; id <= 3; ++id) {
      const auto block = [&](Var a) { return probes_.probe(tape_, std::move(a), id); };
      x = rank.checkpointer.is_configured() ? rank.checkpointer.checkpoint(tape_, block, std::move(x))
                                            : block(std::move(x));
    }
    loss_ = probes_.loss(tape_, std::move(x));
  }
  // Where backward found the checkpoints.
  std::map<int, const void*> backward() {
    tape_.backward(std::move(loss_));
    probes_.log.read.erase(0);
    return probes_.log.read;
  }
  std::vector<float> gradient() { return probes_.take_gradient(); }

 private:
  Probes probes_;
  Tape tape_;
  Var loss_;
};

struct StepTrace {
  std::vector<std::map<int, const void*>> places;
  std::vector<std::vector<float>> gradients;
};

// Eight forwards of mixed shapes, four in flight, each followed by the backward of the oldest: a pipeline.
StepTrace run_pipeline(Rank& rank) {
  StepTrace trace;
  std::deque<std::unique_ptr<InFlight>> in_flight;
  const auto finish_oldest = [&] {
    trace.places.push_back(in_flight.front()->backward());
    if (rank.device.computes()) {
      trace.gradients.push_back(in_flight.front()->gradient());
    }
    in_flight.pop_front();
  };
  for (const Shape& shape :
       {Shape{40, 33}, Shape{7}, Shape{129}, Shape{3, 1000}, Shape{40, 33}, Shape{1}, Shape{2, 2, 99}, Shape{500}}) {
    in_flight.push_back(std::make_unique<InFlight>(rank, shape));
    if (in_flight.size() == 4) {
      finish_oldest();
    }
  }
  while (!in_flight.empty()) {
    finish_oldest();
  }
  return trace;
}

// Those of keeping everything.
std::vector<std::vector<float>> kept_gradients() {
  Rank rank;
  return run_pipeline(rank).gradients;
}

// How large a slab the pipeline needs, measured on meta as the trainer does.
Bytes measured_slab() {
  Rank rank(parallel::Topology::single(), {.kind = nn::DeviceKind::meta});
  rank.checkpointer.configure({.contiguous_memory_optimization = true});
  run_pipeline(rank);
  return rank.checkpointer.store_stats().slab_top;
}

// Counts what is allocated as checkpoints.
class CheckpointAllocations final : public nn::AllocatorObserver {
 public:
  explicit CheckpointAllocations(nn::Device& device) : device_(device) { device_.memory().observe(this); }
  ~CheckpointAllocations() override { device_.memory().observe(nullptr); }
  void on_allocate(nn::Tag tag, Bytes /*bytes*/) override { count_ += tag == nn::Tag::checkpoints ? 1 : 0; }
  void on_free(nn::Tag tag, Bytes /*bytes*/) override { freed_ += tag == nn::Tag::checkpoints ? 1 : 0; }
  int count() const { return count_; }
  int freed() const { return freed_; }

 private:
  nn::Device& device_;
  int count_ = 0;
  int freed_ = 0;
};

// Fault 10: "contiguous" is an allocation for each checkpoint, dropped at the first backward.
TEST(Faults, F10_OneSlabServesAllCheckpointsOfAllSteps) {
  const std::vector<std::vector<float>> kept = kept_gradients();
  Rank rank;
  rank.checkpointer.configure({.contiguous_memory_optimization = true, .slab_bytes = measured_slab()});
  const CheckpointAllocations allocations(rank.device);
  const StepTrace first = run_pipeline(rank);
  EXPECT_EQ(first.gradients, kept);
  const Bytes reserved = rank.memory().reserved;
  for (int step = 1; step < 100; ++step) {
    const StepTrace trace = run_pipeline(rank);
    EXPECT_EQ(trace.places, first.places) << step;
    EXPECT_EQ(trace.gradients, kept) << step;
    EXPECT_EQ(rank.memory().reserved, reserved) << step;
  }
  EXPECT_EQ(allocations.count(), 1);
  EXPECT_EQ(allocations.freed(), 0);
  EXPECT_EQ(rank.checkpointer.store_stats().slab_live, 0);
  EXPECT_EQ(rank.checkpointer.store_stats().slab_top, rank.checkpointer.store_stats().slab_bytes);
}

TEST(Faults, F10_TheCheckpointsLieInTheSlab) {
  Rank rank;
  const Bytes slab_bytes = measured_slab();
  rank.checkpointer.configure({.contiguous_memory_optimization = true, .slab_bytes = slab_bytes});
  std::vector<const std::byte*> all;
  for (const auto& places : run_pipeline(rank).places) {
    ASSERT_EQ(places.size(), 3U);
    for (const auto& [id, place] : places) {
      all.push_back(static_cast<const std::byte*>(place));
    }
  }
  const auto [low, high] = std::minmax_element(all.begin(), all.end());
  EXPECT_LT(*high - *low, slab_bytes);
}

TEST(Faults, F10_PartsAndTheHostHaveOneSlabToo) {
  const std::vector<std::vector<float>> kept = kept_gradients();
  for (const bool partition : {false, true}) {
    for (const bool host : {false, true}) {
      on_ranks(2, [&](Rank& rank) {
        rank.checkpointer.configure({.partition_activations = partition,
                                     .contiguous_memory_optimization = true,
                                     .cpu_checkpointing = host,
                                     .slab_bytes = 256_KiB});
        EXPECT_EQ(run_pipeline(rank).gradients, kept);
        const Bytes reserved = rank.memory().reserved;
        const StoreStats first = rank.checkpointer.store_stats();
        EXPECT_EQ(first.slab_bytes, 256_KiB);
        EXPECT_EQ(first.host_live, host ? 256_KiB : 0);
        for (int step = 1; step < 100; ++step) {
          EXPECT_EQ(run_pipeline(rank).gradients, kept) << step;
          EXPECT_EQ(rank.memory().reserved, reserved);
          EXPECT_EQ(rank.checkpointer.store_stats().slab_top, first.slab_top);
          EXPECT_EQ(rank.checkpointer.store_stats().host_peak, first.host_peak);
        }
      });
    }
  }
}

TEST(Faults, F10_OverflowNamesTheSetting) {
  Rank rank;
  rank.checkpointer.configure({.contiguous_memory_optimization = true, .number_checkpoints = 2});
  EXPECT_THAT([&] { InFlight(rank, {64}); },
              ::testing::ThrowsMessage<Error>(::testing::HasSubstr(
                  "[checkpointing] number_checkpoints = 2: the contiguous buffer of 2 x 256 B is full; checkpoint.2: "
                  "probe of 256 B does not fit; raise number_checkpoints")));
  EXPECT_EQ(rank.checkpointer.store_stats().slab_live, 0);
}

// Fault 12: the work of checkpointing is done where no gradient is wanted. One rank evaluates alone, so that a
// collective would not end.
TEST(Faults, F12_WithoutAGradientNothingIsSavedCopiedOrPartitioned) {
  for (const bool frozen : {false, true}) {  // a tape that does not record, and one that has nothing to record
    for (const Overrides& store : all_stores()) {
      on_ranks(2, [&](Rank& rank) {
        rank.checkpointer.configure(store);
        rank.checkpointer.set_policy(full());
        if (rank.rank == 1) {
          return;
        }
        TinyModel model(rank.device, {.frozen = frozen});
        for (const Form form : {Form::regions, Form::calls}) {
          nn::TapeOptions options = rank.checkpointer.tape_options();
          options.record = frozen;
          Tape tape(rank.context, options);
          const Bytes before = rank.activation_bytes();
          const Var loss = model.forward(tape, rank.checkpointer, form);
          EXPECT_FALSE(loss.requires_grad());
          EXPECT_EQ(rank.activation_bytes() - before, nn::Allocator::kAlignment);  // the loss
          EXPECT_TRUE(tape.residuals().empty());
        }
        const StoreStats stats = rank.checkpointer.store_stats();
        EXPECT_EQ(stats.host_peak, 0);
        EXPECT_EQ(stats.offloaded_bytes, 0);
        EXPECT_EQ(stats.partitioned, 0);
        EXPECT_EQ(stats.slab_bytes, 0);
        EXPECT_EQ(rank.memory().peak_by_tag[static_cast<std::size_t>(nn::Tag::checkpoints)], 0);
      });
    }
  }
}

TEST(Faults, F12_WithoutRecordingNothingIsProfiled) {
  Rank rank;
  rank.checkpointer.configure({.cpu_checkpointing = true, .profile = true});
  rank.checkpointer.set_policy(full());
  TinyModel model(rank.device);
  Tape tape(rank.context, {.record = false, .policy = rank.checkpointer.tape_options().policy});
  (void)model.forward(tape, rank.checkpointer, Form::calls);
  EXPECT_TRUE(rank.checkpointer.take_profile().regions().empty());
}

// As many allocations, and as high a peak, as without checkpointing.
TEST(Faults, F12_WithoutAGradientItAllocatesWhatThePlainModelDoes) {
  const auto memory_of = [](bool checkpointed, Form form) {
    Rank rank;
    if (checkpointed) {
      rank.checkpointer.configure({.cpu_checkpointing = true});
      rank.checkpointer.set_policy(full());
    } else {
      rank.checkpointer.configure();
    }
    TinyModel model(rank.device);
    nn::TapeOptions options = rank.checkpointer.tape_options();
    options.record = false;
    Tape tape(rank.context, options);
    (void)model.forward(tape, rank.checkpointer, form);
    return std::pair(rank.memory().allocations, rank.memory().peak);
  };
  const auto plain = memory_of(false, Form::regions);
  EXPECT_EQ(memory_of(true, Form::regions), plain);
  EXPECT_EQ(memory_of(true, Form::calls), plain);
}

// Fault 13: evaluation overflows the buffers that were made for one step.
TEST(Faults, F13_EvaluationWithoutResetNeverFillsTheSlab) {
  const StepBits kept = kept_bits();
  for (const bool host : {false, true}) {
    Rank rank;
    rank.checkpointer.configure(
        {.contiguous_memory_optimization = true, .cpu_checkpointing = host, .number_checkpoints = 4});
    rank.checkpointer.set_policy(full());
    TinyModel model(rank.device);
    for (int round = 0; round < 10; ++round) {
      for (const bool record : {false, true}) {  // the latter as if somebody forgot to say that it is evaluation
        for (const Form form : {Form::regions, Form::calls}) {
          nn::TapeOptions options = rank.checkpointer.tape_options();
          options.record = record;
          Tape tape(rank.context, options);
          (void)model.forward(tape, rank.checkpointer, form);
          EXPECT_EQ(rank.checkpointer.store_stats().slab_live, record ? 4 * TinyModel::kInputBytes : 0);
        }
      }
      EXPECT_EQ(step(rank, model), kept);
      EXPECT_EQ(rank.checkpointer.store_stats().slab_live, 0);
    }
  }
}

// Fault 16: host memory that cannot be had looks like a device that is full.
TEST(Faults, F16_ExhaustedHostMemoryIsToldAsSuchAndFallsBackToKeeping) {
  const StepBits kept = kept_bits();
  for (const Form form : {Form::regions, Form::calls}) {
    Rank rank;
    rank.checkpointer.configure({.cpu_checkpointing = true, .host_memory_limit = 1100});
    rank.checkpointer.set_policy(full());
    TinyModel model(rank.device);
    for (int round = 0; round < 3; ++round) {
      EXPECT_EQ(step(rank, model, form), kept);
    }
    EXPECT_EQ(
        rank.warnings,
        std::vector<std::string>{fmt::format(
            "[checkpointing] host memory is exhausted: {0}: block of 320 B does not fit beside the 1.0 KiB in use "
            "within the limit of 1.1 KiB; {0}: block stays on the device, as will others",
            form == Form::regions ? "h.2" : "checkpoint.2")});
    EXPECT_EQ(rank.activation_bytes(), 0);
    EXPECT_EQ(rank.checkpointer.store_stats().host_live, 0);
  }
}

TEST(Faults, F16_EveryStoreFallsBack) {
  const StepBits kept = kept_bits();
  with_every_store([&](Rank& rank) {
    const Settings& settings = rank.checkpointer.settings();
    rank.checkpointer.configure({.partition_activations = settings.partition_activations,
                                 .contiguous_memory_optimization = settings.contiguous_memory_optimization,
                                 .cpu_checkpointing = true,
                                 .slab_bytes = 1_MiB,
                                 .host_memory_limit = 300});
    rank.checkpointer.set_policy(full());
    TinyModel model(rank.device);
    EXPECT_EQ(step(rank, model), kept);
    EXPECT_EQ(step(rank, model), kept);
    ASSERT_EQ(rank.warnings.size(), 1U);
    EXPECT_THAT(rank.warnings.front(),
                ::testing::StartsWith(settings.contiguous_memory_optimization
                                          ? "[checkpointing] host memory is exhausted: the contiguous buffer of 1.0 MiB"
                                          : "[checkpointing] host memory is exhausted: h."));
  });
}

TEST(Faults, F16_AFullDeviceIsToldAsTheDevice) {
  Rank rank(parallel::Topology::single(), {.memory_limit = 24_KiB});
  rank.checkpointer.configure({.cpu_checkpointing = true});
  Probes probes(rank);
  Tape tape(rank.context, rank.checkpointer.tape_options());
  Var x = probes.probe(tape, probes.leaf(tape, {1024}));
  const auto needs_too_much = [&](Var a) {
    for (int id = 0; id < 8; ++id) {
      a = Probes::sum(tape, a, probes.probe(tape, a, id));
    }
    const nn::Tensor much(rank.device, {8192}, nn::DType::f32, nn::Tag::activations);
    return a;
  };
  EXPECT_THAT([&] { rank.checkpointer.checkpoint(tape, needs_too_much, std::move(x)); },
              ::testing::ThrowsMessage<OutOfMemory>(::testing::AllOf(::testing::StartsWith("[cpu] out of memory"),
                                                                     ::testing::Not(::testing::HasSubstr("host")))));
  EXPECT_TRUE(rank.warnings.empty());
}

}  // namespace
}  // namespace retape::checkpointing
