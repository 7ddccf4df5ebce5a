#include "lockstep/distributed/communicator/placement.h"

#include <sched.h>
#include <unistd.h>

#include <string>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

std::string host_name() {
  char name[256] = "";
  gethostname(name, sizeof name - 1);
  return name;
}

void find_cores(Placement& placement) {
  cpu_set_t own;
  CPU_ZERO(&own);
  if (sched_getaffinity(0, sizeof own, &own) != 0) return;
  placement.own_cores = CPU_COUNT(&own);
  cpu_set_t all;
  check_mpi(MPI_Allreduce(&own, &all, sizeof own, MPI_BYTE, MPI_BOR, placement.node.get()), "MPI_Allreduce");
  placement.node_cores = CPU_COUNT(&all);
}

void find_nodes(Placement& placement, int ranks_per_node) {
  placement.node = MpiComm::split_by_node(placement.world.get());
  if (ranks_per_node > 0) {
    const int group = placement.node.rank() / ranks_per_node;
    placement.node = MpiComm::split(placement.node.get(), group, placement.node.rank());
  }
  const int rank = placement.world.rank();
  placement.node_ranks.resize(static_cast<std::size_t>(placement.node.size()));
  check_mpi(MPI_Allgather(&rank, 1, MPI_INT, placement.node_ranks.data(), 1, MPI_INT, placement.node.get()),
            "MPI_Allgather");
  int sizes[2] = {-placement.node.size(), placement.node.size()};
  check_mpi(MPI_Allreduce(MPI_IN_PLACE, sizes, 2, MPI_INT, MPI_MAX, placement.world.get()), "MPI_Allreduce");
  placement.smallest_node = -sizes[0];
  placement.largest_node = sizes[1];
}

bool wants_thread(const Placement& placement, const CommunicatorOptions& options, bool calls_mpi) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Query_thread(&provided);
  if (options.progress_thread == "off") return false;
  if (options.progress_thread == "on") {
    if (calls_mpi && provided < MPI_THREAD_SERIALIZED) {
      fail(ErrorKind::usage, "progress_thread is on, but MPI was initialised without MPI_THREAD_SERIALIZED",
           "ask MPI_Init_thread for MPI_THREAD_MULTIPLE, or set progress_thread to off");
    }
    return true;
  }
  const bool spare_core = placement.own_cores > 1 && placement.node.size() < placement.node_cores;
  return spare_core && (!calls_mpi || provided >= MPI_THREAD_MULTIPLE);
}

}  // namespace

Placement find_placement(MPI_Comm comm, int ranks_per_node) {
  int initialized = 0;
  MPI_Initialized(&initialized);
  if (initialized == 0) fail(ErrorKind::usage, "MPI is not initialised", "call MPI_Init_thread first");
  if (ranks_per_node < 0) {
    fail(ErrorKind::usage, "ranks_per_node is " + std::to_string(ranks_per_node) + ", expected 0 (as it is) or more");
  }
  Placement placement;
  placement.world = MpiComm::duplicate(comm);
  find_nodes(placement, ranks_per_node);
  find_cores(placement);
  return placement;
}

ProgressOptions progress_options(const Placement& placement, const CommunicatorOptions& options, bool calls_mpi) {
  const std::string& word = options.progress_thread;
  if (word != "auto" && word != "on" && word != "off") {
    fail(ErrorKind::usage, "progress_thread is \"" + word + "\", expected auto, on or off");
  }
  if (!(options.timeout_seconds > 0)) {
    fail(ErrorKind::usage, "timeout_seconds is " + std::to_string(options.timeout_seconds) + ", expected more than 0");
  }
  return {.timeout_seconds = options.timeout_seconds,
          .thread = wants_thread(placement, options, calls_mpi),
          .crowded = placement.crowded(),
          .where = "rank " + std::to_string(placement.world.rank()) + " on " + host_name()};
}

}  // namespace lockstep
