// Chooses and builds a communicator over an MPI communicator.
#pragma once

#include <mpi.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

struct CommunicatorOptions {
  // auto: self for one rank; nccl on GPUs; shm when all ranks share a node; across nodes hierarchical, or mpi where it
  // is clearly faster by a measurement that is kept for later runs. Or one of self, mpi, shm, hierarchical, nccl by
  // name, here or (where this is auto) in the variable LOCKSTEP_COMMUNICATOR of rank 0: an unusable one is a usage
  // error that says why, never a silent other one. Communicator::choice() says what was taken.
  std::string backend = "auto";
  bool cuda = false;             // the buffers are CUDA memory of the current device
  double timeout_seconds = 600;  // how long one collective may take before Failure(peer_lost)
  // on: a thread completes collectives while the rank computes. auto: on where the rank has a spare core to run it.
  std::string progress_thread = "auto";  // auto, on, off
  // > 0: treat each k consecutive ranks of a node as a node of their own, to test the hierarchy on one machine.
  int ranks_per_node = 0;
  bool deal_ranks = false;  // and give them to these nodes in turn, instead of consecutive ones to each
  // How long start-up may measure the links between nodes where nothing is known of them; 0: not at all.
  double measure_seconds = 0.04;
  // Compare kind, count, type, operation and root across ranks: every collective inside a node; the first 16 and then
  // one in a thousand through MPI and NCCL and between nodes, where a comparison costs a message.
  bool verify = true;
  // Asked from time to time by a rank that waits longer than two milliseconds: an Error ends the wait as a timeout
  // does. May call MPI, in the waiting thread. Not asked by NCCL, whose waits only the timeout ends.
  std::function<std::optional<Error>()> interrupted = {};
};

// Collective over `comm`, which is duplicated. MPI must be initialised with at least MPI_THREAD_SERIALIZED
// (MPI_THREAD_FUNNELED when progress_thread is off). Throws Failure(usage | environment).
std::unique_ptr<Communicator> make_communicator(MPI_Comm comm, const CommunicatorOptions& options);

}  // namespace lockstep
