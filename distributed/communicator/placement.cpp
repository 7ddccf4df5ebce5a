#include "lockstep/distributed/communicator/placement.h"

#include <sched.h>

#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/machine.h"

namespace lockstep {
namespace {

void find_cores(Placement& placement) {
  cpu_set_t own;
  CPU_ZERO(&own);
  if (sched_getaffinity(0, sizeof own, &own) != 0) return;
  placement.own_cores = CPU_COUNT(&own);
  cpu_set_t all;
  check_mpi(MPI_Allreduce(&own, &all, sizeof own, MPI_BYTE, MPI_BOR, placement.node.get()), "MPI_Allreduce");
  placement.node_cores = CPU_COUNT(&all);
}

MpiComm find_node(const MpiComm& world, const CommunicatorOptions& options) {
  MpiComm node = MpiComm::split_by_node(world.get());
  if (options.ranks_per_node == 0) return node;
  const int groups = (node.size() + options.ranks_per_node - 1) / options.ranks_per_node;
  const int group = options.deal_ranks ? node.rank() % groups : node.rank() / options.ranks_per_node;
  return MpiComm::split(node.get(), group, node.rank());
}

NodeLayout find_layout(const MpiComm& world, const MpiComm& node) {
  int first = world.rank();  // the lowest rank of a node is the name of the node
  check_mpi(MPI_Bcast(&first, 1, MPI_INT, 0, node.get()), "MPI_Bcast");
  std::vector<int> first_of(static_cast<std::size_t>(world.size()));
  check_mpi(MPI_Allgather(&first, 1, MPI_INT, first_of.data(), 1, MPI_INT, world.get()), "MPI_Allgather");
  NodeLayout layout;
  layout.rank = world.rank();
  std::vector<int> node_of(first_of.size());
  for (int rank = 0; rank < world.size(); ++rank) {
    const auto its_first = static_cast<std::size_t>(first_of[static_cast<std::size_t>(rank)]);
    if (its_first == static_cast<std::size_t>(rank)) {
      node_of[its_first] = layout.node_count();
      layout.nodes.emplace_back();
    }
    layout.nodes[static_cast<std::size_t>(node_of[its_first])].push_back(rank);
  }
  layout.node = node_of[static_cast<std::size_t>(first)];
  return layout;
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

Placement find_placement(MPI_Comm comm, const CommunicatorOptions& options) {
  if (options.ranks_per_node < 0) {
    fail(ErrorKind::usage,
         "ranks_per_node is " + std::to_string(options.ranks_per_node) + ", expected 0 (as it is) or more");
  }
  Placement placement;
  placement.world = MpiComm::duplicate(comm);
  placement.node = find_node(placement.world, options);
  placement.layout = find_layout(placement.world, placement.node);
  find_cores(placement);
  return placement;
}

void check_progress_options(const CommunicatorOptions& options) {
  const std::string& word = options.progress_thread;
  if (word != "auto" && word != "on" && word != "off") {
    fail(ErrorKind::usage, "progress_thread is \"" + word + "\", expected auto, on or off");
  }
  if (!(options.timeout_seconds > 0)) {
    fail(ErrorKind::usage, "timeout_seconds is " + std::to_string(options.timeout_seconds) + ", expected more than 0");
  }
}

Patience patience_of(MPI_Comm comm, const CommunicatorOptions& options) {
  int rank = 0;
  MPI_Comm_rank(comm, &rank);
  return {.others = ProgressRegistry::of_process(),
          .timeout_seconds = options.timeout_seconds,
          .where = "rank " + std::to_string(rank) + " on " + host_name(),
          .interrupted = options.interrupted};
}

ProgressOptions progress_options(const Placement& placement, const CommunicatorOptions& options, bool calls_mpi) {
  return {.timeout_seconds = options.timeout_seconds,
          .thread = wants_thread(placement, options, calls_mpi),
          .crowded = placement.crowded(),
          .where = "rank " + std::to_string(placement.world.rank()) + " on " + host_name(),
          .registry = ProgressRegistry::of_process(),
          .interrupted = options.interrupted};
}

}  // namespace lockstep
