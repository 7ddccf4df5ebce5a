#include <algorithm>
#include <utility>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/operation.h"

namespace lockstep {

Work::Work(std::shared_ptr<Operation> operation) : operation_(std::move(operation)) {}

Work::Work(Work&&) noexcept = default;

Work& Work::operator=(Work&& other) noexcept {
  if (this != &other) {
    if (operation_) operation_->drop();
    operation_ = std::move(other.operation_);
  }
  return *this;
}

Work::~Work() {
  if (operation_) operation_->drop();
}

int CommunicatorStatistics::straggler() const {
  const auto most = std::max_element(of_node.begin(), of_node.end(), [](const Arrivals& a, const Arrivals& b) {
    return a.late_seconds < b.late_seconds;
  });
  return most == of_node.end() || most->late_seconds == 0 ? -1 : most->rank;
}

bool Work::done() { return !operation_ || operation_->done(); }

void Work::wait() {
  if (!operation_) return;
  const auto operation = std::move(operation_);  // whatever happens, the destructor does not wait a second time
  operation->wait();
}

}  // namespace lockstep
