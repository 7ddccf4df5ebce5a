// Compares the calls of all ranks before any data moves, where the backend has no cheaper way to see them.
#pragma once

#include <cstdint>
#include <vector>

#include "lockstep/distributed/communicator/call.h"
#include "lockstep/distributed/communicator/mpi_support.h"

namespace lockstep {

class CallCheck {
 public:
  // The first collectives, where programs differ most often, and then one in a thousand: 16 bytes per rank each.
  static bool is_due(std::uint64_t sequence) { return sequence <= 16 || sequence % 1000 == 0; }

  // Sends this rank's call to all others. Collective over `comm`, in the order of the calls; never blocks.
  void start(const MpiComm& comm, const Call& call, std::uint64_t sequence);
  bool under_way() const { return request_ != MPI_REQUEST_NULL; }
  // True once all ranks' calls are here and equal. Throws Failure(peer_lost) that names the rank and both calls.
  bool passed();

 private:
  MPI_Request request_ = MPI_REQUEST_NULL;
  std::vector<Call> calls_;
  std::uint64_t sequence_ = 0;
};

}  // namespace lockstep
