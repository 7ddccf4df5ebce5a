#include "lockstep/distributed/communicator/nccl_comm.h"

#include <condition_variable>
#include <thread>
#include <utility>

#include "lockstep/distributed/communicator/backoff.h"

namespace lockstep {
namespace {

constexpr std::chrono::seconds kEndLimit{20};

ncclUniqueId agreed_id(const MpiComm& comm) {
  ncclUniqueId id{};
  ncclResult_t code = ncclSuccess;
  if (comm.rank() == 0) code = ncclGetUniqueId(&id);
  int failed = code == ncclSuccess ? 0 : 1;
  check_mpi(MPI_Bcast(&failed, 1, MPI_INT, 0, comm.get()), "MPI_Bcast");
  check_nccl(code, "ncclGetUniqueId");
  if (failed != 0) fail(ErrorKind::environment, "ncclGetUniqueId failed on rank 0", "see the log of rank 0");
  check_mpi(MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, comm.get()), "MPI_Bcast");
  return id;
}

}  // namespace

struct NcclComm::Ending {
  std::mutex mutex;
  std::condition_variable over_now;
  bool begun = false, over = false;  // guarded by mutex
};

NcclComm::NcclComm(const MpiComm& comm, double timeout_seconds, std::string where)
    : timeout_seconds_(timeout_seconds), where_(std::move(where)), ending_(std::make_shared<Ending>()) {
  const ncclUniqueId id = agreed_id(comm);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  std::unique_lock lock(mutex_);
  try {
    check_nccl(ncclCommInitRankConfig(&comm_, comm.size(), id, comm.rank(), &config), "ncclCommInitRankConfig", comm_);
    settle(lock, "ncclCommInitRankConfig");
  } catch (const Failure& failure) {
    abort_locked(failure.error());
    throw;
  }
}

NcclComm::~NcclComm() {
  {
    const std::scoped_lock lock(mutex_);
    end_locked();
  }
  wait_for_abort();
}

void NcclComm::call(std::string_view name, const std::function<ncclResult_t(ncclComm_t)>& function) {
  std::unique_lock lock(mutex_);
  if (why_) throw Failure(*why_);
  check_nccl(function(comm_), name, comm_);
  settle(lock, name);
}

// Lock held, but for the pauses. Until NCCL says success the kernel may not be in the stream yet.
void NcclComm::settle(std::unique_lock<std::mutex>& lock, std::string_view name) {
  Backoff backoff(/*crowded=*/false);
  while (true) {
    if (why_) throw Failure(*why_);
    ncclResult_t state = ncclSuccess;
    check_nccl(ncclCommGetAsyncError(comm_, &state), "ncclCommGetAsyncError", comm_);
    check_nccl(state, name, comm_);
    if (state == ncclSuccess) return;
    lock.unlock();
    backoff.pause();
    lock.lock();
    const double waited = std::chrono::duration<double>(backoff.waited()).count();
    if (waited < timeout_seconds_ || why_) continue;
    Error error{
        ErrorKind::peer_lost, std::string(name) + " is not complete after " + std::to_string(waited) + " s", where_,
        "a rank has not come, or the nodes do not reach each other (NCCL_SOCKET_IFNAME); NCCL_DEBUG=INFO shows more"};
    abort_locked(error);
    throw Failure(std::move(error));
  }
}

std::optional<Error> NcclComm::asynchronous_error() {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || comm_ == nullptr) return {};
  ncclResult_t state = ncclSuccess;
  const ncclResult_t code = ncclCommGetAsyncError(comm_, &state);
  const ncclResult_t worst = code != ncclSuccess ? code : state;
  if (worst == ncclSuccess || worst == ncclInProgress) return {};
  return Error{ErrorKind::peer_lost, std::string("NCCL met an error: ") + ncclGetErrorString(worst), where_,
               "another rank may have died: see its log; NCCL_DEBUG=INFO shows more"};
}

void NcclComm::abort(Error why) {
  const std::scoped_lock lock(mutex_);
  abort_locked(std::move(why));
}

void NcclComm::abort_locked(Error why) {
  if (!why_) why_ = std::move(why);
  aborted_.store(true, std::memory_order_release);
  end_locked();
}

// Not ncclCommDestroy, which waits for the peers: whoever destroys a communicator has waited for what it wants.
// ncclCommAbort tells the kernels to return, and then waits for the end of every CUDA graph that holds one of them
// (NCCL's init.cc, commDestroySync). The thread that is here may be the one that owns such a graph, or one for which it
// waits: it must get on, so that the graph is destroyed when the error unwinds.
void NcclComm::end_locked() {
  if (comm_ == nullptr) return;
  {
    const std::scoped_lock lock(ending_->mutex);
    ending_->begun = true;
  }
  std::thread([comm = std::exchange(comm_, nullptr), ending = ending_] {
    ncclCommAbort(comm);
    {
      const std::scoped_lock lock(ending->mutex);
      ending->over = true;
    }
    ending->over_now.notify_all();
  }).detach();
}

void NcclComm::wait_for_abort() const {
  std::unique_lock lock(ending_->mutex);
  ending_->over_now.wait_for(lock, kEndLimit, [this] { return ending_->over || !ending_->begun; });
}

void NcclComm::throw_if_aborted() {
  if (!aborted()) return;
  const std::scoped_lock lock(mutex_);
  throw Failure(*why_);
}

}  // namespace lockstep
