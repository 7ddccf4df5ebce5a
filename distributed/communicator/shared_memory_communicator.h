// Collectives among the ranks of one node through shared memory, and some of them also between nodes.
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
  // For one node of several; no nodes in `layout`: this one is all there is. Between nodes there is no broadcast, and
  // no all_gather where they have different numbers of ranks.
  NodeLayout layout = {};
  std::unique_ptr<BetweenNodes> between = nullptr;  // of the owners
  MpiComm world = {};                               // all ranks, to compare their calls
};

class SharedMemoryCommunicator final : public Communicator {
 public:
  // Collective over the ranks of `memory`.
  SharedMemoryCommunicator(std::unique_ptr<NodeMemory> memory, SharedMemoryOptions options);
  ~SharedMemoryCommunicator() override;

  int rank() const override { return context_.layout.rank; }
  int size() const override { return size_; }
  std::string_view name() const override { return "shm"; }
  Work all_reduce(Buffer buffer, ReduceOp op) override;
  Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) override;
  Work all_gather(Buffer input, Buffer output) override;
  Work broadcast(Buffer buffer, int root) override;
  void barrier() override;
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override;
  void progress() override { engine_->progress(); }
  CommunicatorStatistics statistics() const override;
  std::int64_t memory_bytes() const override;
  bool overlaps() const override { return engine_->has_thread(); }
  void abort(const Error& error) noexcept override { engine_->abort(error); }
  bool failed() const noexcept override { return engine_->failed(); }

 private:
  Work start(const Call& call, const Buffer& input, const Buffer& output);
  std::shared_ptr<SharedOperation> free_operation();

  std::unique_ptr<NodeMemory> memory_;
  SharedContext context_;
  int size_;  // of the world
  std::shared_ptr<ProgressEngine> engine_;
  std::vector<std::shared_ptr<SharedOperation>> pool_;
  std::uint64_t sequence_ = 0;  // collectives called so far
};

}  // namespace lockstep
