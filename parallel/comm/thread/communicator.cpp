#include "parallel/comm/thread/communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "parallel/comm/arguments.h"

namespace retape::parallel {
namespace {

constexpr Elems kCacheLine = 64 / sizeof(float);

void copy(void* to, const void* from, Bytes bytes) noexcept {
  if (bytes > 0 && to != from) {
    std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
}

Bytes float_bytes(Elems elems) {
  return elems * static_cast<Bytes>(sizeof(float));
}

}  // namespace

void ThreadCommunicator::barrier() {
  meeting_->enter(rank_, {.name = "barrier"});
}

void ThreadCommunicator::all_gather(const void* send, void* receive, Bytes bytes) {
  check_count("all_gather", bytes);
  meeting_->enter(rank_, {.name = "all_gather", .bytes = bytes, .data = send});
  for (int peer = 0; peer < size(); ++peer) {
    copy(static_cast<std::byte*>(receive) + peer * bytes, meeting_->opened_by(peer), bytes);
  }
  meeting_->step();
}

void ThreadCommunicator::broadcast(void* data, Bytes bytes, int root) {
  check_count("broadcast", bytes);
  check_root(root, size());
  meeting_->enter(rank_, {.name = "broadcast", .bytes = bytes, .root = root, .data = data});
  if (rank_ != root) {
    copy(data, meeting_->opened_by(root), bytes);
  }
  meeting_->step();
}

// Each rank adds up one slice of everybody's values, in place, and then fetches the other slices.
void ThreadCommunicator::all_reduce_sum(float* values, Elems elems) {
  check_count("all_reduce_sum", elems);
  meeting_->enter(rank_, {.name = "all_reduce_sum", .bytes = float_bytes(elems), .data = values});
  const Elems slice = round_up(ceil_div(elems, size()), kCacheLine);
  const auto begin_of = [slice, elems](int rank) { return std::min(rank * slice, elems); };
  const auto elems_of = [begin_of](int rank) { return begin_of(rank + 1) - begin_of(rank); };
  add_opened(values + begin_of(rank_), begin_of(rank_), elems_of(rank_));
  meeting_->step();
  for (int peer = 0; peer < size(); ++peer) {
    const Elems begin = begin_of(peer);
    copy(values + begin, static_cast<const float*>(meeting_->opened_by(peer)) + begin, float_bytes(elems_of(peer)));
  }
  meeting_->step();
}

void ThreadCommunicator::reduce_scatter_sum(const float* send, float* receive, Elems elems_per_rank) {
  check_count("reduce_scatter_sum", elems_per_rank);
  meeting_->enter(rank_, {.name = "reduce_scatter_sum", .bytes = float_bytes(elems_per_rank), .data = send});
  add_opened(receive, rank_ * elems_per_rank, elems_per_rank);
  meeting_->step();
}

// In blocks that stay in the first cache. `to` may be where this rank's own summand lies: it is written last.
void ThreadCommunicator::add_opened(float* to, Elems begin, Elems elems) const noexcept {
  constexpr Elems kBlock = 1024;
  std::array<float, kBlock> sum;
  for (Elems done = 0; done < elems; done += kBlock) {
    const Elems count = std::min(kBlock, elems - done);
    const auto from = [&](int peer) { return static_cast<const float*>(meeting_->opened_by(peer)) + begin + done; };
    copy(sum.data(), from(0), float_bytes(count));
    for (int peer = 1; peer < size(); ++peer) {
      const float* values = from(peer);
      for (Elems i = 0; i < count; ++i) {
        sum[static_cast<std::size_t>(i)] += values[i];
      }
    }
    copy(to + done, sum.data(), float_bytes(count));
  }
}

std::unique_ptr<Communicator> ThreadCommunicator::split(int color) {
  std::vector<int> colors(static_cast<std::size_t>(size()));
  all_gather(&color, colors.data(), sizeof(color));

  std::vector<int> members;  // their ranks here
  std::vector<int> ranks;    // their ranks in the job
  for (int peer = 0; peer < size(); ++peer) {
    if (colors[static_cast<std::size_t>(peer)] == color) {
      members.push_back(peer);
      ranks.push_back(meeting_->ranks()[static_cast<std::size_t>(peer)]);
    }
  }
  const int own = static_cast<int>(std::find(members.begin(), members.end(), rank_) - members.begin());

  // The first member makes the place where they will meet, and the others take it from there.
  std::shared_ptr<Meeting> meeting;
  if (own == 0) {
    meeting = std::make_shared<Meeting>(meeting_->job(), std::move(ranks));
  }
  meeting_->enter(rank_, {.name = "split", .data = &meeting});
  if (own != 0) {
    meeting = *static_cast<const std::shared_ptr<Meeting>*>(meeting_->opened_by(members.front()));
  }
  meeting_->step();
  return std::make_unique<ThreadCommunicator>(std::move(meeting), own);
}

void ThreadCommunicator::abort(std::string_view reason) noexcept {
  std::string cause;
  try {
    cause = fmt::format("rank {} aborted: {}", meeting_->ranks()[static_cast<std::size_t>(rank_)], reason);
  } catch (...) {  // with no memory for the words the job still ends
  }
  const Job::Lock held = meeting_->job()->lock();
  meeting_->job()->fail(held, std::move(cause));
}

}  // namespace retape::parallel
