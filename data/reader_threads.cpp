#include "lockstep/data/reader_threads.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace lockstep {
namespace {

// Below this a batch is made in less time (about 1 ns per byte) than handing it from thread to thread may cost.
constexpr std::int64_t kWorthAThread = 64 << 10;

int cores_of_this_process() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

// As Open MPI, MPICH and its kin, and Slurm tell it; 1 where nobody does.
int ranks_on_this_node() {
  for (const char* name :
       {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE", "LOCAL_WORLD_SIZE"}) {
    const char* text = std::getenv(name);
    if (text != nullptr && std::atoi(text) > 0) return std::atoi(text);
  }
  return 1;
}

}  // namespace

int plan_reader_threads(std::int64_t batch_bytes, int rank_cores, int machine_cores, int local_ranks) {
  const int own_cores = rank_cores < machine_cores ? rank_cores : rank_cores / std::max(local_ranks, 1);
  return own_cores >= 2 && batch_bytes >= kWorthAThread ? 1 : 0;
}

int automatic_reader_threads(std::int64_t batch_bytes) {
  const auto machine_cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return plan_reader_threads(batch_bytes, cores_of_this_process(), machine_cores, ranks_on_this_node());
}

}  // namespace lockstep
