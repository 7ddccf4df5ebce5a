// Nobody waits for NCCL's kernels on the host, so a thread looks after them: errors that NCCL meets on its own, and
// collectives that take too long. Both abort the communicator, which lets waiting kernels return.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "lockstep/distributed/communicator/nccl_operation.h"

namespace lockstep {

class NcclWatchdog {
 public:
  NcclWatchdog(std::shared_ptr<NcclComm> comm, int device, double timeout_seconds, std::string where);
  ~NcclWatchdog();  // ends the thread; waits for nothing else
  NcclWatchdog(const NcclWatchdog&) = delete;
  NcclWatchdog& operator=(const NcclWatchdog&) = delete;

  void watch(std::shared_ptr<NcclOperation> operation);

 private:
  void run();
  void look();

  std::shared_ptr<NcclComm> comm_;
  const int device_;
  const double timeout_seconds_;
  const std::string where_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<NcclOperation>> under_way_;  // in stream order; guarded by mutex_
  bool closing_ = false;                                  // guarded by mutex_
  std::thread thread_;
};

}  // namespace lockstep
