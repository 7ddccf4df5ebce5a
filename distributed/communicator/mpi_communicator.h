// Collectives by MPI's own non-blocking collectives (MPI 3.1).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lockstep/distributed/communicator/call.h"
#include "lockstep/distributed/communicator/mpi_support.h"
#include "lockstep/distributed/communicator/plain_memory.h"
#include "lockstep/distributed/communicator/progress_engine.h"

namespace lockstep {

class MpiOperation;

struct MpiCommunicatorOptions {
  std::shared_ptr<ProgressEngine> engine;
  bool verify = true;
  // MPI counts are int: longer collectives are cut into pieces of this many elements. Smaller only in tests.
  std::int64_t elements_per_call = std::int64_t{1} << 30;
};

class MpiCommunicator final : public Communicator {
 public:
  // Collective over `comm`, which it takes over.
  MpiCommunicator(MpiComm comm, const MpiCommunicatorOptions& options);
  ~MpiCommunicator() override;

  int rank() const override { return comm_.rank(); }
  int size() const override { return comm_.size(); }
  std::string_view name() const override { return "mpi"; }
  Work all_reduce(Buffer buffer, ReduceOp op) override;
  Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) override;
  Work all_gather(Buffer input, Buffer output) override;
  Work broadcast(Buffer buffer, int root) override;
  void barrier() override;
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override;
  void progress() override { engine_->progress(); }
  CommunicatorStatistics statistics() const override { return engine_->statistics(); }
  std::int64_t memory_bytes() const override { return *allocated_; }
  bool overlaps() const override { return engine_->has_thread(); }
  void abort(const Error& error) noexcept override { engine_->abort(error); }
  bool failed() const noexcept override { return engine_->failed(); }

 private:
  friend class MpiOperation;
  Work start(const Call& call, const Buffer& input, const Buffer& output);
  std::shared_ptr<MpiOperation> free_operation();

  MpiComm comm_;
  const MpiOps ops_;
  const MpiCommunicatorOptions options_;
  std::shared_ptr<ProgressEngine> engine_;
  std::vector<std::shared_ptr<MpiOperation>> pool_;
  std::uint64_t sequence_ = 0;  // collectives called so far
  ByteCount allocated_ = std::make_shared<std::atomic<std::int64_t>>(0);
};

}  // namespace lockstep
