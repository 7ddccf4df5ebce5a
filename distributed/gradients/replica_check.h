// Whether all ranks still have the same weights.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/distributed/gradients/data_parallel.h"

namespace lockstep {

struct ReplicaDifference {
  std::string parameter;        // the first in the module's order that differs
  std::int64_t parameters = 0;  // how many differ
  std::vector<int> ranks;       // those without the values that most ranks have; all, where no values are most ranks'
  bool has_majority = false;

  std::string message() const;  // one sentence
};

// A digest of the tensor's bits (its shape and strides take no part): equal bits, equal digest; for different ones the
// chance of an equal digest is 2^-64. Of a GPU's tensor, after a copy to the host.
std::uint64_t digest_of(const at::Tensor& tensor);

// Collective: an all_gather of 8 bytes per parameter. Every rank returns the same. Between steps only: in the middle of
// one a sharded model has yet to exchange its weights.
std::optional<ReplicaDifference> find_replica_difference(const DataParallel& model);

// Throws Failure(peer_lost) that says it; where: "after step 7".
[[noreturn]] void fail_of(const ReplicaDifference& difference, const std::string& where);

// find_replica_difference(); a difference is a Failure on every rank.
void check_replicas(const DataParallel& model);

}  // namespace lockstep
