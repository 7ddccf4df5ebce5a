#include "lockstep/distributed/session/rank_group.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "lockstep/distributed/communicator/backoff.h"

namespace lockstep {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{16} << 20;  // of a long message
constexpr std::size_t kWordBytes = 2000;  // short enough for every MPI to send it without waiting for the receiver
constexpr int kWordTag = 1;

// What can be wrong with the caller's communicator, which no collective call may be tried with.
void require_usable(MPI_Comm comm) {
  int initialized = 0, finalized = 0, thread_level = MPI_THREAD_SINGLE, main_thread = 1, joins_two = 0;
  MPI_Initialized(&initialized);
  MPI_Finalized(&finalized);
  if (!initialized) fail(ErrorKind::usage, "a session was to be made before MPI_Init", "initialise MPI first");
  if (finalized) fail(ErrorKind::usage, "a session was to be made after MPI_Finalize", "end MPI after the training");
  if (comm == MPI_COMM_NULL)
    fail(ErrorKind::usage, "a session was to be made over MPI_COMM_NULL: this rank has no part in the communicator",
         "make the session only on the ranks that train");
  MPI_Query_thread(&thread_level);
  MPI_Is_thread_main(&main_thread);
  if (thread_level < MPI_THREAD_SERIALIZED && !main_thread)
    fail(ErrorKind::usage, "a session was to be made in a thread that may not call MPI",
         "make it in the thread that called MPI_Init, or ask MPI_Init_thread for MPI_THREAD_SERIALIZED");
  MPI_Comm_test_inter(comm, &joins_two);
  if (joins_two)
    fail(ErrorKind::usage, "a session was to be made over an intercommunicator", "merge it with MPI_Intercomm_merge");
}

MpiComm usable_duplicate(MPI_Comm comm) {
  require_usable(comm);
  return MpiComm::duplicate(comm);
}

}  // namespace

// A collective under way and the memory that it works on: not the caller's, which may be gone before MPI lets go of it.
struct RankGroup::Pending {
  explicit Pending(std::size_t bytes) : data(bytes) {}
  MPI_Request request = MPI_REQUEST_NULL;
  std::vector<std::byte> data;
};

RankGroup::RankGroup(MPI_Comm comm, double timeout_seconds, const std::string& host)
    : timeout_seconds_(timeout_seconds),
      comm_(usable_duplicate(comm)),
      node_(MpiComm::split_by_node(comm_.get())),
      words_(MpiComm::duplicate(comm_.get())) {
  place_ = "rank " + std::to_string(rank()) + " on " + host;
}

void RankGroup::all_reduce(int* values, int count, MPI_Op op, MPI_Comm comm) {
  throw_if_failed();
  const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(int);
  auto pending = std::make_unique<Pending>(bytes);
  std::memcpy(pending->data.data(), values, bytes);
  auto lock = lock_mpi();
  const int code = MPI_Iallreduce(MPI_IN_PLACE, pending->data.data(), count, MPI_INT, op, comm, &pending->request);
  lock.unlock();
  finish(pending, code, "an agreement of all ranks");
  std::memcpy(values, pending->data.data(), bytes);
}

void RankGroup::broadcast(void* data, std::size_t bytes, int root, MPI_Comm comm) {
  for (std::size_t done = 0; done < bytes; done += kPieceBytes) {
    throw_if_failed();
    auto* const piece = static_cast<std::byte*>(data) + done;
    auto pending = std::make_unique<Pending>(std::min(kPieceBytes, bytes - done));
    std::memcpy(pending->data.data(), piece, pending->data.size());
    auto lock = lock_mpi();
    const int code = MPI_Ibcast(pending->data.data(), static_cast<int>(pending->data.size()), MPI_BYTE, root, comm,
                                &pending->request);
    lock.unlock();
    finish(pending, code, "a broadcast of " + std::to_string(bytes) + " bytes");
    std::memcpy(piece, pending->data.data(), pending->data.size());
  }
}

void RankGroup::gather(const void* data, std::size_t bytes, void* all) {
  throw_if_failed();
  if (bytes > kPieceBytes)
    fail(ErrorKind::usage, std::to_string(bytes) + " bytes of each rank were to be gathered, at most " +
                               std::to_string(kPieceBytes) + " can be");
  // This rank's bytes, and on rank 0 behind them those of all.
  auto pending = std::make_unique<Pending>(bytes * (rank() == 0 ? 1 + static_cast<std::size_t>(size()) : 1));
  std::byte* const own = pending->data.data();
  std::memcpy(own, data, bytes);
  const auto count = static_cast<int>(bytes);
  auto lock = lock_mpi();
  const int code = MPI_Igather(own, count, MPI_BYTE, own + bytes, count, MPI_BYTE, 0, comm_.get(), &pending->request);
  lock.unlock();
  finish(pending, code, "a gathering of " + std::to_string(bytes) + " bytes of each rank");
  if (rank() == 0) std::memcpy(all, pending->data.data() + bytes, pending->data.size() - bytes);
}

// Not on comm_: a rank that has come to its end must not be taken for a partner of what the others still call there.
void RankGroup::barrier() {
  throw_if_failed();
  auto pending = std::make_unique<Pending>(0);
  auto lock = lock_mpi();
  const int code = MPI_Ibarrier(words_.get(), &pending->request);
  lock.unlock();
  finish(pending, code, "a barrier of all ranks");
}

void RankGroup::finish(std::unique_ptr<Pending>& pending, int code, const std::string& what) try {
  check_mpi(code, what);
  Backoff backoff(/*crowded=*/false);
  while (true) {
    int complete = 0;
    {
      const auto lock = lock_mpi();
      check_mpi(MPI_Test(&pending->request, &complete, MPI_STATUS_IGNORE), what);
    }
    if (complete) return;
    throw_if_failed();
    backoff.pause();
    const double waited = std::chrono::duration<double>(backoff.waited()).count();
    if (waited > timeout_seconds_)
      fail(ErrorKind::peer_lost, what + " is not complete after " + std::to_string(waited).substr(0, 5) + " s",
           "a rank died, hangs or took another path; its log says more", place_);
  }
} catch (const Failure& failure) {
  (void)pending.release();  // MPI may still write to it
  if (!failure_) failure_ = failure.error();
  throw;
}

void RankGroup::throw_if_failed() {
  if (const auto error = failure()) throw Failure(*error);
}

void RankGroup::abort(const Error& reason) noexcept try {
  if (failure()) return;
  failure_ = reason;
  // Kept for good: nobody waits until it has been sent.
  auto& word = *new std::string(place_ + " has failed: " + reason.what);
  word.resize(std::min(word.size(), kWordBytes));
  const auto lock = lock_mpi();
  for (int other = 0; other < size(); ++other) {
    if (other == rank()) continue;
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Isend(word.data(), static_cast<int>(word.size()), MPI_BYTE, other, kWordTag, words_.get(), &request);
    if (request != MPI_REQUEST_NULL) MPI_Request_free(&request);
  }
} catch (...) {  // the others find out when their timeout has passed
  if (!failure_) failure_ = reason;
}

std::optional<Error> RankGroup::failure() noexcept try {
  if (failure_ || words_.get() == MPI_COMM_NULL) return failure_;
  const auto lock = lock_mpi();
  MPI_Status status;
  int arrived = 0, bytes = 0;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kWordTag, words_.get(), &arrived, &status), "MPI_Iprobe");
  if (!arrived) return {};
  MPI_Get_count(&status, MPI_BYTE, &bytes);
  std::string word(static_cast<std::size_t>(bytes), '\0');
  check_mpi(MPI_Recv(word.data(), bytes, MPI_BYTE, status.MPI_SOURCE, kWordTag, words_.get(), MPI_STATUS_IGNORE),
            "MPI_Recv");
  return failure_ = Error{ErrorKind::peer_lost, std::move(word), {}, "the log of that rank says more"};
} catch (const std::exception& e) {
  return failure_ = to_error(e);
}

void RankGroup::free() noexcept {
  for (MpiComm* comm : {&words_, &node_, &comm_}) {
    if (failure_) comm->abandon();
    *comm = MpiComm();
  }
}

}  // namespace lockstep
