// What the program that started this rank says about it, in environment variables; known before MPI is initialised.
#pragma once

#include <optional>
#include <string>

namespace lockstep {

struct LauncherEnvironment {
  std::string launcher;   // "Open MPI's mpirun", "PMI", "Slurm's srun", or "" for none
  int rank = 0;
  int world_size = 1;
};

// Reads OMPI_COMM_WORLD_*, then PMI_*, then SLURM_PROCID / SLURM_NTASKS of a step (not of a batch script). Values that are not numbers
// count as absent. MPI's own answer is the truth; this one serves messages and what happens before MPI_Init.
LauncherEnvironment launcher_environment();

// LOCKSTEP_EXPECTED_WORLD_SIZE, absent when unset or empty. Throws Failure(usage) when it is not a number above 0.
std::optional<int> expected_world_size();

// Why `found` ranks met where `expected` were started, and what to do about it: the hint of the error.
std::string world_size_hint(int found, int expected, const LauncherEnvironment& environment);

}  // namespace lockstep
