// The part of a hierarchical all_reduce that leaves the node.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/mpi_support.h"

namespace lockstep {

// Reduces a slice over the ranks that own it, one on each node. Many may be under way; all owners start them in one
// order.
class BetweenNodes {
 public:
  virtual ~BetweenNodes() = default;
  // In place. Returns a ticket for test(). The buffer stays untouched until test() has said true.
  virtual std::size_t start(const Buffer& slice, ReduceOp op) = 0;
  // True once, when the reduction is complete; the ticket is void from then on. Never blocks.
  virtual bool test(std::size_t ticket) = 0;
  // After a failure, when peers may be gone: free nothing collectively.
  virtual void abandon() = 0;
};

// owners: the ranks with the same local rank on all nodes; taken over.
std::unique_ptr<BetweenNodes> make_mpi_between_nodes(MpiComm owners);

}  // namespace lockstep
