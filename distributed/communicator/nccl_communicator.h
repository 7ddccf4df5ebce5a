// Collectives between GPUs by NCCL, in a stream of their own. Part of liblockstep_cuda.so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/nccl_capture.h"
#include "lockstep/distributed/communicator/nccl_watchdog.h"
#include "lockstep/distributed/communicator/plain_memory.h"

namespace lockstep {

class NcclCommunicator final : public Communicator {
 public:
  // Collective over `comm`, which it takes over; for the current CUDA device. Throws Failure.
  NcclCommunicator(MpiComm comm, const CommunicatorOptions& options);
  ~NcclCommunicator() override;

  int rank() const override { return mpi_.rank(); }
  int size() const override { return mpi_.size(); }
  std::string_view name() const override { return "nccl"; }
  Work all_reduce(Buffer buffer, ReduceOp op) override;
  Work reduce_scatter(Buffer input, Buffer output, ReduceOp op) override;
  Work all_gather(Buffer input, Buffer output) override;
  Work broadcast(Buffer buffer, int root) override;
  // The host waits, and so all work given to this device before it is done on all ranks.
  void barrier() override;
  // ncclMemAlloc, registered for zero-copy collectives where this NCCL and the machine can.
  std::shared_ptr<DirectMemory> allocate(std::int64_t bytes) override;
  void progress() override {}
  CommunicatorStatistics statistics() const override { return statistics_; }
  std::int64_t memory_bytes() const override { return *allocated_; }
  bool overlaps() const override { return true; }
  void abort(const Error& error) noexcept override { comm_->abort(error); }
  bool failed() const noexcept override { return comm_->aborted(); }

  // Before and after a CUDA graph with `calls` is launched in the current stream (nccl_capture.h): throws the Failure
  // that ended this communicator; counts them, and watches for the end of the replay as for that of a collective.
  void before_replay() { comm_->throw_if_aborted(); }
  void replayed(const CapturedCalls& calls);

 private:
  using Launch = std::function<ncclResult_t(ncclComm_t)>;
  std::shared_ptr<NcclOperation> start(const Call& call, std::string_view name, const Launch& launch);
  void compare_calls(const Call& call);
  void count(std::uint64_t calls, std::uint64_t bytes);
  std::shared_ptr<NcclOperation> free_operation();

  MpiComm mpi_;
  const CommunicatorOptions options_;
  const int device_;
  const std::string where_;
  std::shared_ptr<NcclComm> comm_;
  cudaStream_t stream_ = nullptr;  // from LibTorch's pool, which owns it
  std::unique_ptr<NcclWatchdog> watchdog_;
  std::vector<std::shared_ptr<NcclOperation>> pool_;
  std::shared_ptr<DirectMemory> token_;  // what a barrier reduces
  std::uint64_t sequence_ = 0;           // collectives called so far
  CommunicatorStatistics statistics_;
  ByteCount allocated_ = std::make_shared<std::atomic<std::int64_t>>(0);
};

}  // namespace lockstep
