#include "lockstep/distributed/communicator/meeting.h"

#include <utility>

#include "lockstep/distributed/communicator/backoff.h"
#include "lockstep/distributed/communicator/mpi_support.h"

namespace lockstep {
namespace {

constexpr double uninterrupted_seconds = 2e-3;  // shorter waits are not worth a question

bool is_complete(MPI_Request& request) {
  const auto lock = lock_mpi();
  int complete = 0;
  check_mpi(MPI_Test(&request, &complete, MPI_STATUS_IGNORE), "MPI_Test");
  return complete != 0;
}

}  // namespace

void meet(MPI_Comm comm, std::string_view purpose, const Patience& patience) {
  MPI_Request request = MPI_REQUEST_NULL;
  {
    const auto lock = lock_mpi();
    check_mpi(MPI_Ibarrier(comm, &request), "MPI_Ibarrier");
  }
  complete(request, purpose, patience);
}

void complete(MPI_Request& request, std::string_view purpose, const Patience& patience) {
  Backoff backoff(patience.crowded);
  while (!is_complete(request)) {
    if (patience.others) patience.others->push_all_but(nullptr);
    backoff.pause();
    const double waited = std::chrono::duration<double>(backoff.waited()).count();
    if (patience.interrupted && waited > uninterrupted_seconds) {
      if (auto error = patience.interrupted()) throw Failure(std::move(*error));
    }
    if (waited <= patience.timeout_seconds) continue;
    fail(ErrorKind::peer_lost,
         "a rank has not come to " + std::string(purpose) + " after " + std::to_string(waited).substr(0, 5) + " s",
         "all ranks must call it in the same order; a rank died, hangs or took another path, and its log says more",
         patience.where);
  }
}

}  // namespace lockstep
