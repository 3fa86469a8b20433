#include "tests/programs/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "parallel/comm/thread/ranks.h"
#include "tests/programs/execute.h"

namespace retape::programs {
namespace {

constexpr std::chrono::seconds kTimeout{10};

// Where a buffer of so many checkpoints is too small, a program fails; all others come to their end.
bool may_fail(const Outcome& outcome) {
  return outcome.failure.starts_with("[checkpointing] number_checkpoints") &&
         outcome.failure.find(" is full; ") != std::string::npos;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

std::string compare_with_kept(const Outcome& kept, const Outcome& made) {
  if (!same_bits(kept.losses, made.losses)) {
    return "losses differ from those of keeping everything";
  }
  for (std::size_t i = 0; i < kept.gradients.size(); ++i) {
    if (!same_bits(kept.gradients[i], made.gradients[i])) {
      return fmt::format("the gradient of parameter {} differs from that of keeping everything", i);
    }
  }
  if (kept.generators != made.generators) {
    return "generators are not where they are with everything kept";
  }
  if (kept.work.forward_ops != made.work.forward_ops) {
    return fmt::format("forward ran {} ops instead of {}", made.work.forward_ops, kept.work.forward_ops);
  }
  return {};
}

// The first number that is not as predicted.
std::string compare_with_predicted(const Outcome& predicted, const Outcome& measured) {
  std::string difference;
  const auto compare = [&](std::string_view what, std::int64_t a, std::int64_t b) {
    if (a != b && difference.empty()) {
      difference = fmt::format("{}: predicted {}, measured {}", what, a, b);
    }
  };
  if (predicted.failure != measured.failure) {
    return fmt::format("predicted to end with \"{}\", it ended with \"{}\"", predicted.failure, measured.failure);
  }
  compare("peak_bytes", predicted.memory.peak, measured.memory.peak);
  compare("activation_peak_bytes", predicted.memory.activation_peak, measured.memory.activation_peak);
  for (int tag = 0; tag < nn::kTagCount; ++tag) {
    const auto t = static_cast<std::size_t>(tag);
    compare(fmt::format("peak of {}", name(static_cast<nn::Tag>(tag))), predicted.memory.peak_by_tag[t],
            measured.memory.peak_by_tag[t]);
  }
  compare("allocations", predicted.memory.allocations, measured.memory.allocations);
  compare("reserved bytes", predicted.memory.peak_reserved, measured.memory.peak_reserved);
  if (difference.empty() && predicted.memory != measured.memory) {
    difference = "the accounts of memory differ from those predicted";
  }
  compare("rebuilt ops", predicted.work.rebuilt_ops, measured.work.rebuilt_ops);
  compare("rebuilt FLOPs", predicted.work.rebuilt_flops, measured.work.rebuilt_flops);
  compare("partitioned bytes", predicted.store.partitioned, measured.store.partitioned);
  compare("host's peak", predicted.store.host_peak, measured.store.host_peak);
  compare("host's live bytes", predicted.store.host_live, measured.store.host_live);
  compare("slab's live bytes", predicted.store.slab_live, measured.store.slab_live);
  compare("slab's top", predicted.store.slab_top, measured.store.slab_top);
  compare("offloaded bytes", predicted.most_offloaded, measured.most_offloaded);
  compare("warnings", predicted.warnings, measured.warnings);
  return difference;
}

std::string check_end(const Outcome& outcome) {
  if (!outcome.failure.empty() && !may_fail(outcome)) {
    return fmt::format("it fails: {}", outcome.failure);
  }
  if (outcome.left_behind != 0 || outcome.store.slab_live != 0 || outcome.store.partitioned != 0) {
    return fmt::format("left behind: {} bytes of activations, {} of a slab, {} of partitions", outcome.left_behind,
                       outcome.store.slab_live, outcome.store.partitioned);
  }
  return {};
}

bool measures(const Program& program) {
  return std::any_of(program.settings.begin(), program.settings.end(),
                     [](const SettingsForm& form) { return form.contiguous == Contiguous::measured; });
}

// What one rank finds.
std::string check_rank(const Program& program, const Plan& plan, const Outcome& predicted,
                       parallel::Communicator& communicator) {
  const parallel::Topology topology = parallel::make_topology(communicator, program.ranks);
  const Outcome kept = execute(program, {.keep_everything = true}, topology);
  const Outcome made = execute(program, plan, topology);
  std::string difference;
  for (const Outcome* outcome : {&kept, &made}) {
    if (difference.empty()) {
      difference = check_end(*outcome);
    }
  }
  if (difference.empty() && made.failure.empty()) {
    difference = compare_with_kept(kept, made);
  }
  if (difference.empty()) {
    difference = compare_with_predicted(predicted, made);
  }
  return difference.empty() || program.ranks == 1 ? difference
                                                  : fmt::format("rank {}: {}", communicator.rank(), difference);
}

}  // namespace

std::string check(const Program& program) {
  const std::unique_ptr<parallel::Communicator> planned = parallel::open_planned(0, program.ranks);
  const parallel::Topology topology = parallel::make_topology(*planned, program.ranks);
  Plan meta{.device = nn::DeviceKind::meta};
  Outcome predicted = execute(program, meta, topology);
  if (measures(program)) {
    meta.measured_slabs = predicted.slabs;
    predicted = execute(program, meta, topology);
  }
  const Plan plan{.measured_slabs = meta.measured_slabs};
  if (program.ranks == 1) {
    const std::unique_ptr<parallel::Communicator> self = parallel::open_self();
    return check_rank(program, plan, predicted, *self);
  }
  std::vector<std::string> differences(static_cast<std::size_t>(program.ranks));
  try {
    parallel::run_ranks(
        program.ranks,
        [&](parallel::Communicator& communicator) {
          differences[static_cast<std::size_t>(communicator.rank())] =
              check_rank(program, plan, predicted, communicator);
        },
        kTimeout);
  } catch (const std::exception& error) {
    return fmt::format("the ranks fail: {}", error.what());
  }
  const auto first =
      std::find_if(differences.begin(), differences.end(), [](const std::string& text) { return !text.empty(); });
  return first == differences.end() ? std::string() : *first;
}

}  // namespace retape::programs
