// The communicator of one rank: every collective is complete when it is called.
#pragma once

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/plain_memory.h"

namespace lockstep {

class SelfCommunicator final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::string_view name() const override { return "self"; }
  Work all_reduce(Buffer buffer, ReduceOp op) override;
  Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) override;
  Work all_gather(Buffer input, Buffer output) override;
  Work broadcast(Buffer buffer, int root) override;
  void barrier() override {}
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override;
  void progress() override {}
  std::int64_t memory_bytes() const override { return *allocated_; }

 private:
  ByteCount allocated_ = std::make_shared<std::atomic<std::int64_t>>(0);
};

}  // namespace lockstep
