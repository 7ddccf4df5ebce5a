// One collective in NCCL's stream.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <memory>
#include <string>

#include "lockstep/distributed/communicator/call.h"
#include "lockstep/distributed/communicator/nccl_comm.h"
#include "lockstep/distributed/communicator/operation.h"

namespace lockstep {

class NcclOperation final : public Operation {
 public:
  NcclOperation(std::shared_ptr<NcclComm> comm, int device);
  ~NcclOperation() override;
  NcclOperation(const NcclOperation&) = delete;
  NcclOperation& operator=(const NcclOperation&) = delete;

  // `stream` waits for what the current stream has been given so far: the kernels that write the buffer.
  void begin(const Call& call, std::uint64_t sequence, cudaStream_t stream);
  // The collective has been launched in `stream`.
  void launched(cudaStream_t stream);
  // Instead of both: stands for all that the current stream has been given so far, called `what`.
  void follow(std::string what);

  bool done() override;
  // The current stream waits, the host goes on.
  void wait() override;
  void drop() noexcept override;

  // True when the GPU has passed it. Any thread; does not look at the state of the communicator.
  bool passed() const { return cudaEventQuery(done_) == cudaSuccess; }
  double age_seconds() const;
  std::string description() const { return what_.empty() ? describe(call_, sequence_) : what_; }

 private:
  std::shared_ptr<NcclComm> comm_;
  int device_;
  cudaEvent_t ready_ = nullptr;
  cudaEvent_t done_ = nullptr;
  Call call_;
  std::uint64_t sequence_ = 0;
  std::string what_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace lockstep
