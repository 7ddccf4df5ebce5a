// Ranks on several nodes: all_reduce through shared memory inside a node and MPI between the nodes, all owners of
// slices at once; the other collectives by MPI.
#pragma once

#include <memory>
#include <utility>

#include "lockstep/distributed/communicator/mpi_communicator.h"
#include "lockstep/distributed/communicator/shared_memory_communicator.h"

namespace lockstep {

class HierarchicalCommunicator final : public Communicator {
 public:
  // Both have one engine: a rank that waits for a barrier must go on with its part of the all_reduces before it.
  HierarchicalCommunicator(std::unique_ptr<SharedMemoryCommunicator> node, std::unique_ptr<MpiCommunicator> world)
      : node_(std::move(node)), world_(std::move(world)) {}

  int rank() const override { return world_->rank(); }
  int size() const override { return world_->size(); }
  std::string_view name() const override { return "hierarchical"; }
  Work all_reduce(Buffer buffer, ReduceOp op) override { return node_->all_reduce(buffer, op); }
  Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) override {
    return world_->reduce_scatter(input, output, op);
  }
  Work all_gather(Buffer input, Buffer output) override { return world_->all_gather(input, output); }
  Work broadcast(Buffer buffer, int root) override { return world_->broadcast(buffer, root); }
  void barrier() override { world_->barrier(); }
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override { return node_->allocate(bytes); }
  void progress() override { world_->progress(); }

 private:
  std::unique_ptr<SharedMemoryCommunicator> node_;
  std::unique_ptr<MpiCommunicator> world_;
};

}  // namespace lockstep
