// What all users of MPI here share: errors become Failures, and one lock around every call.
#pragma once

#include <mpi.h>

#include <memory>
#include <mutex>
#include <string_view>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// Throws Failure(peer_lost) with MPI's own text when code is not MPI_SUCCESS. call: "MPI_Iallreduce".
void check_mpi(int code, std::string_view call);

// All MPI calls of all communicators of this process are made under this lock: MPI_THREAD_SERIALIZED asks for that, and
// many MPIs do not get faster by being called from two threads.
std::mutex& mpi_mutex();

// A duplicate of a communicator, with errors returned instead of aborting the job.
class MpiComm {
 public:
  MpiComm() = default;
  // Takes over `comm`, a communicator made by MPI_Comm_dup or MPI_Comm_split (or MPI_COMM_NULL).
  explicit MpiComm(MPI_Comm comm);
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

// MPI_Op for a type: MPI's own, or for bfloat16 and float16 our kernels, which add in float32. average adds.
class MpiOps {
 public:
  MpiOps();
  ~MpiOps();
  MpiOps(const MpiOps&) = delete;
  MpiOps& operator=(const MpiOps&) = delete;
  MPI_Op get(DataType type, ReduceOp op) const;

 private:
  MPI_Op half_[2][3];  // bfloat16, float16; sum, min, max
};

}  // namespace lockstep
