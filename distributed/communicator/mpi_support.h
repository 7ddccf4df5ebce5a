// What all users of MPI here share: errors become Failures, and locks around the calls.
#pragma once

#include <mpi.h>

#include <array>
#include <memory>
#include <mutex>
#include <string_view>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// Throws Failure(peer_lost) with MPI's own text when code is not MPI_SUCCESS. call: "MPI_Iallreduce".
void check_mpi(int code, std::string_view call);

using MpiLock = std::unique_lock<std::recursive_mutex>;

// For one MPI call that does not block. All communicators of this process take it: MPI_THREAD_SERIALIZED asks for that,
// and many MPIs do not get faster by being called from two threads.
MpiLock lock_mpi();

// For MPI calls that block until the peers come. With MPI_THREAD_MULTIPLE nothing is locked: a peer may need what
// another thread of this process does meanwhile. Below it every other thread must stay out of MPI; so call meet()
// before, which leaves no long wait under the lock, and from one thread of the process at a time.
MpiLock lock_mpi_while_blocking();

// A duplicate of a communicator, with errors returned instead of aborting the job.
class MpiComm {
 public:
  MpiComm() = default;
  // Takes over `comm`, a communicator made by MPI_Comm_dup or MPI_Comm_split (or MPI_COMM_NULL).
  explicit MpiComm(MPI_Comm comm);
  // These three block until all ranks of `comm` come.
  static MpiComm duplicate(MPI_Comm comm);
  static MpiComm split(MPI_Comm comm, int color, int key);
  static MpiComm split_by_node(MPI_Comm comm);  // the ranks that can share memory, in the order of `comm`
  MpiComm(MpiComm&& other) noexcept;
  MpiComm& operator=(MpiComm&& other) noexcept;
  ~MpiComm();

  // Never freed: for the time after a failure, when peers may be gone.
  void abandon() { comm_ = MPI_COMM_NULL; }

  MPI_Comm get() const { return comm_; }
  int rank() const { return rank_; }
  int size() const { return size_; }

 private:
  void free() noexcept;
  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 0;
};

// True when MPI objects may still be freed: MPI is not finalized, and no exception unwinds. Freeing is collective for
// most of them; while an exception unwinds the peers are elsewhere and the process is about to end.
bool may_free_mpi_objects() noexcept;

MPI_Datatype mpi_type(DataType type);  // bfloat16 and float16: MPI_UINT16_T, for MpiOps below

// MPI_Op for a type: MPI's own, or our kernels: for bfloat16 and float16, which are added in float32, and for min and
// max of floating-point numbers, where MPI says nothing about NaN. average adds.
class MpiOps {
 public:
  MpiOps();
  ~MpiOps();
  MpiOps(const MpiOps&) = delete;
  MpiOps& operator=(const MpiOps&) = delete;
  MPI_Op get(DataType type, ReduceOp op) const;

 private:
  template <DataType type>
  void create();
  std::array<std::array<MPI_Op, 3>, 4> own_;  // by DataType, of the floating-point types; sum, min, max
};

}  // namespace lockstep
