// Shared memory by MPI_Win_allocate_shared.
#pragma once

#include <memory>

#include "lockstep/distributed/communicator/meeting.h"
#include "lockstep/distributed/communicator/mpi_support.h"
#include "lockstep/distributed/communicator/node_memory.h"

namespace lockstep {

// node: the ranks that share memory; taken over. Collective over it.
// All functions but abandon() throw Failure(peer_lost) when a rank has not come within the patience.
std::unique_ptr<NodeMemory> make_mpi_node_memory(MpiComm node, Patience patience);

}  // namespace lockstep
