// Ranks on several nodes: all_reduce, reduce_scatter and all_gather through shared memory inside a node and MPI between
// the nodes, all ranks of a node at once; the other collectives by MPI.
#pragma once

#include <memory>
#include <utility>

#include "lockstep/distributed/communicator/mpi_communicator.h"
#include "lockstep/distributed/communicator/shared_memory_communicator.h"

namespace lockstep {

class HierarchicalCommunicator final : public Communicator {
 public:
  // Both have one engine: a rank that waits for a barrier must go on with its part of the all_reduces before it.
  // gathers_in_nodes: all nodes have the same number of ranks, and more than one; else MPI alone gathers, which adds
  // nothing up and so has equal bits.
  HierarchicalCommunicator(std::unique_ptr<SharedMemoryCommunicator> node, std::unique_ptr<MpiCommunicator> world,
                           bool gathers_in_nodes)
      : node_(std::move(node)), world_(std::move(world)), gathers_in_nodes_(gathers_in_nodes) {}

  int rank() const override { return world_->rank(); }
  int size() const override { return world_->size(); }
  std::string_view name() const override { return "hierarchical"; }
  Work all_reduce(Buffer buffer, ReduceOp op) override { return node_->all_reduce(buffer, op); }
  Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) override {
    return node_->reduce_scatter(input, output, op);
  }
  Work all_gather(Buffer input, Buffer output) override {
    return gathers_in_nodes_ ? node_->all_gather(input, output) : world_->all_gather(input, output);
  }
  Work broadcast(Buffer buffer, int root) override { return world_->broadcast(buffer, root); }
  void barrier() override { world_->barrier(); }
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override { return node_->allocate(bytes); }
  void progress() override { world_->progress(); }
  Communicator& mpi() { return *world_; }  // the same ranks by MPI alone, to compare
  CommunicatorStatistics statistics() const override { return node_->statistics(); }
  std::int64_t memory_bytes() const override { return node_->memory_bytes() + world_->memory_bytes(); }
  bool overlaps() const override { return node_->overlaps(); }
  void abort(const Error& error) noexcept override { world_->abort(error); }  // the engine is node_'s too
  bool failed() const noexcept override { return world_->failed(); }

 private:
  std::unique_ptr<SharedMemoryCommunicator> node_;
  std::unique_ptr<MpiCommunicator> world_;
  bool gathers_in_nodes_;
};

}  // namespace lockstep
