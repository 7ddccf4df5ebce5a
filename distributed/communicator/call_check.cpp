#include "lockstep/distributed/communicator/call_check.h"

namespace lockstep {

void CallCheck::start(const MpiComm& comm, const Call& call, std::uint64_t sequence) {
  const auto lock = lock_mpi();
  sequence_ = sequence;
  calls_.resize(static_cast<std::size_t>(comm.size()));
  calls_[static_cast<std::size_t>(comm.rank())] = call;
  check_mpi(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_BYTE, calls_.data(), sizeof(Call), MPI_BYTE, comm.get(), &request_),
            "MPI_Iallgather");
}

bool CallCheck::passed() {
  {
    const auto lock = lock_mpi();
    int complete = 0;
    check_mpi(MPI_Test(&request_, &complete, MPI_STATUS_IGNORE), "MPI_Test");
    if (complete == 0) return false;
  }
  check_same_call(calls_.data(), static_cast<int>(calls_.size()), sequence_);
  return true;
}

}  // namespace lockstep
