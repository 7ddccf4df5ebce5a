#include "lockstep/distributed/gradients/join.h"

#include <algorithm>

#include "lockstep/distributed/gradients/agreement.h"

namespace lockstep {

bool Join::any(bool has_batch) {
  const auto have = gather_values(model_.communicator(), model_.tensors()[0].device(), has_batch ? 1 : 0);
  active_ = static_cast<int>(std::count(have.begin(), have.end(), 1));
  return active_ > 0;
}

double Join::weight() const {
  if (mean_ == JoinMean::of_all_ranks || active_ == 0) return 1;
  return static_cast<double>(model_.communicator().size()) / active_;
}

}  // namespace lockstep
