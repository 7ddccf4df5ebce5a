// Where the ranks are: on which nodes, with how many cores. And what follows from it.
#pragma once

#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/meeting.h"
#include "lockstep/distributed/communicator/mpi_support.h"
#include "lockstep/distributed/communicator/node_layout.h"
#include "lockstep/distributed/communicator/progress_engine.h"

namespace lockstep {

struct Placement {
  MpiComm world;       // a duplicate of the caller's communicator
  MpiComm node;        // the ranks of this rank's node, in the order of `world`
  NodeLayout layout;   // the same as numbers, of all nodes
  int own_cores = 1;   // CPUs this rank may run on
  int node_cores = 1;  // CPUs the ranks of this node may run on together

  bool one_node() const { return node.size() == world.size(); }
  // More ranks than cores on this node.
  bool crowded() const { return node.size() > node_cores; }
};

// Collective over `comm`. options: ranks_per_node and deal_ranks pretend other nodes. Throws Failure(usage) for a
// negative ranks_per_node or when MPI is not initialised.
Placement find_placement(MPI_Comm comm, const CommunicatorOptions& options);

// Throws Failure(usage) for an unknown word or a timeout that is not positive.
void check_progress_options(const CommunicatorOptions& options);
// For a rank of `comm` that waits for the others.
Patience patience_of(MPI_Comm comm, const CommunicatorOptions& options);

// calls_mpi: the backend calls MPI, so its thread needs MPI_THREAD_MULTIPLE (auto) or at least SERIALIZED (on).
// Throws Failure(usage) for a thread that MPI does not allow.
ProgressOptions progress_options(const Placement& placement, const CommunicatorOptions& options, bool calls_mpi);

}  // namespace lockstep
