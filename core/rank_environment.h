// Who this process is among the ranks, told by whatever started it: Open MPI, MVAPICH, MPICH and Intel MPI, PMIx, Slurm
// or torchrun. Good for naming logs and choosing a device before MPI_Init; afterwards MPI itself is asked.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep {

struct RankEnvironment {
  int rank = 0;
  std::optional<int> world_size;        // PMIx alone does not tell these three
  std::optional<int> local_rank;        // number on this node
  std::optional<int> local_world_size;  // ranks on this node
  std::string source;                   // "Open MPI", "MVAPICH", "MPICH", "PMIx", "Slurm", "torchrun"
};

// Value of a variable, or nothing. environment_variable reads this process' environment.
using VariableLookup = std::function<std::optional<std::string>(const std::string& name)>;
std::optional<std::string> environment_variable(const std::string& name);

// Nothing when no launcher's variables are there. The MPI's own variables win over Slurm's: under mpirun inside a Slurm
// job those of Slurm belong to MPI's daemon. Slurm's count only inside a step (srun), not in a batch script. Usage
// error: a variable that is no number, a rank that is not below its world size.
Result<std::optional<RankEnvironment>> read_rank_environment(const VariableLookup& lookup = environment_variable);

// Slurm's "2(x3),1": the number of tasks on node `node` (0, 1, …). Nothing when the text is not of this form.
std::optional<int> slurm_tasks_on_node(const std::string& tasks_per_node, int node);

}  // namespace lockstep
