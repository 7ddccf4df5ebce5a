// Collectives among the ranks of one node, through shared memory.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lockstep/distributed/communicator/node_memory.h"
#include "lockstep/distributed/communicator/progress_engine.h"
#include "lockstep/distributed/communicator/shared_operation.h"

namespace lockstep {

struct SharedMemoryOptions {
  std::shared_ptr<ProgressEngine> engine;
  bool verify = true;
  StagingSize staging;
  // For one node of several: the connection to the others. all_reduce alone can leave the node.
  bool several_nodes = false;
  std::unique_ptr<BetweenNodes> between = nullptr;  // of the owners
  MpiComm world = {};                               // all ranks, to compare their calls
  int owners = 0;                                   // 0: all ranks of the node own a slice
  int world_size = 0;                               // 0: this node is the world
  std::vector<int> ranks = {};                      // empty: local ranks are world ranks; for messages
};

class SharedMemoryCommunicator final : public Communicator {
 public:
  // Collective over the ranks of `memory`.
  SharedMemoryCommunicator(std::unique_ptr<NodeMemory> memory, SharedMemoryOptions options);
  ~SharedMemoryCommunicator() override;

  int rank() const override { return memory_->rank(); }  // on the node
  int size() const override { return memory_->size(); }
  std::string_view name() const override { return "shm"; }
  Work all_reduce(Buffer buffer, ReduceOp op) override;
  Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) override;
  Work all_gather(Buffer input, Buffer output) override;
  Work broadcast(Buffer buffer, int root) override;
  void barrier() override;
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override;
  void progress() override { engine_->progress(); }

 private:
  Work start(const Call& call, const Buffer& input, const Buffer& output);
  std::shared_ptr<SharedOperation> free_operation();

  std::unique_ptr<NodeMemory> memory_;
  SharedContext context_;
  std::shared_ptr<ProgressEngine> engine_;
  std::vector<std::shared_ptr<SharedOperation>> pool_;
  std::uint64_t sequence_ = 0;  // collectives called so far
};

}  // namespace lockstep
