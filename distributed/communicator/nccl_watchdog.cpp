#include "lockstep/distributed/communicator/nccl_watchdog.h"

#include <utility>

namespace lockstep {

NcclWatchdog::NcclWatchdog(std::shared_ptr<NcclComm> comm, int device, double timeout_seconds, std::string where)
    : comm_(std::move(comm)),
      device_(device),
      timeout_seconds_(timeout_seconds),
      where_(std::move(where)),
      thread_([this] { run(); }) {}

NcclWatchdog::~NcclWatchdog() {
  {
    const std::scoped_lock lock(mutex_);
    closing_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void NcclWatchdog::watch(std::shared_ptr<NcclOperation> operation) {
  const std::scoped_lock lock(mutex_);
  under_way_.push_back(std::move(operation));
}

void NcclWatchdog::run() {
  cudaSetDevice(device_);
  // A query here must not spoil a graph that another thread captures at this moment.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  std::unique_lock lock(mutex_);
  while (!closing_ && !comm_->aborted()) {
    look();
    wake_.wait_for(lock, std::chrono::milliseconds(20), [this] { return closing_; });
  }
  under_way_.clear();
}

// Lock held.
void NcclWatchdog::look() {
  while (!under_way_.empty() && under_way_.front()->passed()) under_way_.pop_front();
  if (auto error = comm_->asynchronous_error()) return comm_->abort(std::move(*error));
  if (under_way_.empty() || under_way_.front()->age_seconds() < timeout_seconds_) return;
  comm_->abort({ErrorKind::peer_lost,
                under_way_.front()->description() + " is not complete after " +
                    std::to_string(under_way_.front()->age_seconds()) + " s",
                where_,
                "a rank died, hangs or took another path; its log says more. Where a rank may rightly take that long, "
                "raise the timeout"});
}

}  // namespace lockstep
