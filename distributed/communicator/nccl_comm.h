// An ncclComm_t that can be given up at any moment: made without blocking, watched, aborted when a peer is lost.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/nccl_support.h"

namespace lockstep {

class NcclComm {
 public:
  // Collective over `comm`. Uses the current CUDA device. Throws Failure; peer_lost when not all ranks come in time.
  NcclComm(const MpiComm& comm, double timeout_seconds, std::string where);
  // Frees without waiting for peers. CUDA graphs that hold its collectives must be gone: NCCL waits for them.
  ~NcclComm();
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;

  // Calls an NCCL function with the communicator and returns when it has been launched, which a non-blocking
  // communicator does on its own time. Throws Failure of the call, or the one that ended the communicator.
  void call(std::string_view name, const std::function<ncclResult_t(ncclComm_t)>& function);

  // An error that NCCL met on its own, or nothing. Never blocks.
  std::optional<Error> asynchronous_error();
  // Ends everything under way; kernels that wait for a peer return. All later calls throw `why`. Does not wait for
  // that.
  void abort(Error why);
  // Until an abort has ended everything, so that memory may be freed; some seconds at most.
  void wait_for_abort() const;
  void throw_if_aborted();
  bool aborted() const { return aborted_.load(std::memory_order_acquire); }

 private:
  struct Ending;
  void settle(std::unique_lock<std::mutex>& lock, std::string_view name);
  void abort_locked(Error why);
  void end_locked();

  const double timeout_seconds_;
  const std::string where_;
  std::mutex mutex_;  // NCCL's calls on one communicator, which must not meet an abort
  ncclComm_t comm_ = nullptr;
  std::optional<Error> why_;
  const std::shared_ptr<Ending> ending_;  // shared with the thread that ends comm_
  std::atomic<bool> aborted_{false};
};

}  // namespace lockstep
