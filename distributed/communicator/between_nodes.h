// The parts of collectives that leave the node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/mpi_support.h"

namespace lockstep {

// Exchanges between the ranks of one column: those with the same local rank, one on each node. Many may be under way;
// all ranks of a column start the same ones in one order. Values of the nodes are always combined in the order of the
// nodes, in one pass that rounds once: an element gets the same bits whatever it is exchanged together with.
// A ticket names an exchange under way; it is void once test() has said true.
class BetweenNodes {
 public:
  virtual ~BetweenNodes() = default;

  // slice, in place: the nodes' slices combined, times `scale`; equal bits on all nodes. Stays untouched by others
  // until test() has said true.
  virtual std::size_t all_reduce(const Buffer& slice, ReduceOp op, double scale) = 0;

  // First step of a reduce_scatter: a ticket with memory for a parcel of `bytes_each` for every node, in their order.
  virtual std::size_t prepare_parcels(std::int64_t bytes_each) = 0;
  virtual std::byte* parcels(std::size_t ticket) = 0;
  // Sends them. output: the parcels of all nodes for this one combined, times `scale`.
  virtual void send_parcels(std::size_t ticket, const Buffer& output, ReduceOp op, double scale) = 0;

  // output: memory for the inputs of all nodes, in their order.
  virtual std::size_t all_gather(const Buffer& input, std::byte* output) = 0;

  // True once, when the exchange is complete. Never blocks; gives all of them a push.
  virtual bool test(std::size_t ticket) = 0;
  // Of the parcels' buffers, which are kept between exchanges.
  virtual std::int64_t memory_bytes() const = 0;
  // After a failure, when peers may be gone: free nothing collectively.
  virtual void abandon() = 0;
};

// column: its ranks in the order of their nodes; taken over. Collective over it.
std::unique_ptr<BetweenNodes> make_mpi_between_nodes(MpiComm column);

}  // namespace lockstep
