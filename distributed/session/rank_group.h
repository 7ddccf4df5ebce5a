// The ranks of a session as MPI knows them: collectives that end, and word of a rank that has failed.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/mpi_support.h"

namespace lockstep {

// Not MPI's own blocking collectives: one rank that throws would leave the others in them for ever. Here a wait ends
// with Failure(peer_lost) when a rank has told that it failed, or after the timeout; from then on every call throws the
// same. Set-up only: no call costs less than some microseconds. One thread at a time.
class RankGroup {
 public:
  // Collective over `comm`, which is duplicated; errors of MPI become Failures. Throws Failure(usage) at once, on this
  // rank alone: MPI is not initialised, or finalized; `comm` is MPI_COMM_NULL or joins two groups; this is not the
  // main thread and MPI allows no other (MPI_THREAD_FUNNELED).
  RankGroup(MPI_Comm comm, double timeout_seconds, const std::string& host);
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  int rank() const { return comm_.rank(); }
  int size() const { return comm_.size(); }
  MPI_Comm comm() const { return comm_.get(); }
  int local_rank() const { return node_.rank(); }
  int local_size() const { return node_.size(); }
  MPI_Comm node_comm() const { return node_.get(); }

  // Collective, over comm() or node_comm(); host memory.
  void all_reduce(int* values, int count, MPI_Op op, MPI_Comm comm);
  void broadcast(void* data, std::size_t bytes, int root, MPI_Comm comm);
  // all: size() times `bytes` on rank 0, by rank; unused elsewhere.
  void gather(const void* data, std::size_t bytes, void* all);
  void barrier();

  // Tells all other ranks, without waiting for any, that this one has failed and why. Does nothing after a failure().
  void abort(const Error& reason) noexcept;
  // The reason why the ranks do not go on together, if there is one; asks whether another rank has told one. MPI calls.
  std::optional<Error> failure() noexcept;

  // Collective unless the ranks have failed: then nothing of MPI's is freed.
  void free() noexcept;

 private:
  struct Pending;
  void finish(std::unique_ptr<Pending>& pending, int code, const std::string& what);
  void throw_if_failed();

  double timeout_seconds_;
  std::string place_;            // "rank 1 on node07"
  MpiComm comm_, node_, words_;  // words_: what failed ranks tell
  std::optional<Error> failure_;
};

}  // namespace lockstep
