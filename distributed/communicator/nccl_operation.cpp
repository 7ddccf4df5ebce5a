#include "lockstep/distributed/communicator/nccl_operation.h"

#include <c10/cuda/CUDAStream.h>

#include <utility>

namespace lockstep {
namespace {

cudaStream_t current_stream(int device) {
  return c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream();
}

}  // namespace

NcclOperation::NcclOperation(std::shared_ptr<NcclComm> comm, int device) : comm_(std::move(comm)), device_(device) {
  check_cuda(cudaEventCreateWithFlags(&ready_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
  check_cuda(cudaEventCreateWithFlags(&done_, cudaEventDisableTiming), "cudaEventCreateWithFlags");
}

NcclOperation::~NcclOperation() {
  cudaEventDestroy(ready_);
  cudaEventDestroy(done_);
}

void NcclOperation::begin(const Call& call, std::uint64_t sequence, cudaStream_t stream) {
  what_.clear();
  call_ = call;
  sequence_ = sequence;
  start_ = std::chrono::steady_clock::now();
  check_cuda(cudaEventRecord(ready_, current_stream(device_)), "cudaEventRecord");
  check_cuda(cudaStreamWaitEvent(stream, ready_, 0), "cudaStreamWaitEvent");
}

void NcclOperation::launched(cudaStream_t stream) { check_cuda(cudaEventRecord(done_, stream), "cudaEventRecord"); }

void NcclOperation::follow(std::string what) {
  what_ = std::move(what);
  start_ = std::chrono::steady_clock::now();
  launched(current_stream(device_));
}

bool NcclOperation::done() {
  comm_->throw_if_aborted();
  const cudaError_t state = cudaEventQuery(done_);
  if (state == cudaErrorNotReady) return false;
  check_cuda(state, "cudaEventQuery");
  return true;
}

void NcclOperation::wait() {
  comm_->throw_if_aborted();
  check_cuda(cudaStreamWaitEvent(current_stream(device_), done_, 0), "cudaStreamWaitEvent");
}

void NcclOperation::drop() noexcept {
  try {
    wait();
  } catch (...) {  // the next call on this communicator throws it
  }
}

double NcclOperation::age_seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

}  // namespace lockstep
