#include "parallel/comm/communicator.h"

namespace retape::parallel {
namespace {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
};

}  // namespace

std::unique_ptr<Communicator> open_self() {
  return std::make_unique<SelfCommunicator>();
}

}  // namespace retape::parallel
