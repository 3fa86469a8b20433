#include "parallel/comm/group.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nn/base/error.h"
#include "parallel/comm/agreement.h"

namespace retape::parallel {
namespace {

// Bounds the memory that a bf16 sum takes: 1 MiB of f32.
constexpr Elems kChunk = 256 * 1024;

std::string describe(const nn::Tensor& tensor) {
  return fmt::format("{} {}", nn::name(tensor.dtype()), tensor.shape().str());
}

// FNV-1a: the same on every machine.
std::int64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return static_cast<std::int64_t>(hash);
}

// Label, dtype and shape as numbers, so that one small message compares them; only where they differ a second one says
// how.
void check_same_shards(Communicator& communicator, const nn::Tensor& shard, std::string_view label) {
  using Form = std::array<std::int64_t, nn::Shape::kMaxRank + 3>;
  Form form{hash_of(label), static_cast<std::int64_t>(shard.dtype()), shard.shape().rank()};
  for (int i = 0; i < shard.shape().rank(); ++i) {
    form[static_cast<std::size_t>(i) + 3] = shard.shape()[i];
  }
  std::vector<Form> forms(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(&form, forms.data(), sizeof(form));
  if (std::adjacent_find(forms.begin(), forms.end(), std::not_equal_to<>()) != forms.end()) {
    const std::string form_text = describe(shard);
    require_agreement(communicator, "all_gather of shards",
                      label.empty() ? form_text : fmt::format("{}, {}", label, form_text));
  }
}

}  // namespace

Group::Group(std::shared_ptr<Communicator> communicator) : communicator_(std::move(communicator)) {
  require<CommError>(communicator_ != nullptr, "[group] communicator: expected one, got none");
}

Group Group::self() {
  return Group(open_self());
}

void Group::all_gather(const nn::Tensor& shard, nn::Tensor& whole, std::string_view label) const {
  check_reachable("all_gather", shard);
  check_reachable("all_gather", whole);
  require<ShapeError>(whole.dtype() == shard.dtype() && whole.elems() == size() * shard.elems(),
                      "[all_gather] whole: expected {} times {}, got {}", size(), describe(shard), describe(whole));
  require<ShapeError>(shard.device().computes() == whole.device().computes(),
                      "[all_gather] whole: expected a tensor on {}, got one on {}", nn::name(shard.device().kind()),
                      nn::name(whole.device().kind()));
  if (shard.device().computes()) {
    check_same_shards(*communicator_, shard, label);
    whole.note_write();
    communicator_->all_gather(shard.data(), whole.data(), shard.bytes());
  }
}

void Group::all_reduce_sum(nn::Tensor& tensor) const {
  check_reachable("all_reduce_sum", tensor);
  switch (tensor.dtype()) {
    case nn::DType::f32:
      if (tensor.device().computes()) {
        tensor.note_write();
        communicator_->all_reduce_sum(tensor.data_as<float>(), tensor.elems());
      }
      return;
    case nn::DType::bf16: all_reduce_bf16(tensor); return;
    case nn::DType::i32:
    case nn::DType::f64: break;
  }
  fail<ShapeError>("[all_reduce_sum] tensor: expected f32 or bf16, got {}", describe(tensor));
}

// Allocates on meta as well, so that its peak is the one of a device that computes.
void Group::all_reduce_bf16(nn::Tensor& tensor) const {
  nn::Tensor sums(tensor.device(), {std::min(kChunk, tensor.elems())}, nn::DType::f32, nn::Tag::communication);
  if (!tensor.device().computes()) {
    return;
  }
  tensor.note_write();
  nn::bf16* values = tensor.data_as<nn::bf16>();
  float* chunk = sums.data_as<float>();
  for (Elems begin = 0; begin < tensor.elems(); begin += kChunk) {
    const Elems count = std::min(kChunk, tensor.elems() - begin);
    std::transform(values + begin, values + begin + count, chunk, [](nn::bf16 value) { return nn::to_float(value); });
    communicator_->all_reduce_sum(chunk, count);
    std::transform(chunk, chunk + count, values + begin, [](float sum) { return nn::to_bf16(sum); });
  }
}

void Group::require_agreement(std::string_view what, std::string_view text) const {
  parallel::require_agreement(*communicator_, what, text);
}

Group Group::duplicate() const {
  return Group(communicator_->split(0));
}

void Group::check_reachable(std::string_view place, const nn::Tensor& tensor) const {
  require<ShapeError>(tensor.defined(), "[{}] expected a tensor, got an undefined one", place);
  require<CommError>(tensor.device().kind() != nn::DeviceKind::cuda,
                     "[{}] expected a tensor in the memory of the host, got one on cuda", place);
  require<CommError>(!communicator_->planned() || !tensor.device().computes(),
                     "[{}] rank {} of {} exists only in a plan: expected a tensor on meta, got one on {}", place,
                     rank(), size(), nn::name(tensor.device().kind()));
}

}  // namespace retape::parallel
