// The number of ranks that were started, and what to say when another number met.
#pragma once

#include <optional>
#include <string>

#include "lockstep/core/rank_environment.h"

namespace lockstep {

// What the launcher's variables say about this process; nothing when there are none or they contradict each other. They
// are read once, by the first call, which must come before MPI_Init: Open MPI sets them itself in a process that nobody
// launched.
std::optional<RankEnvironment> launched_as();

// Whether an MPI launcher started several ranks, so that MPI_Init will find the others.
bool started_by_mpi(const std::optional<RankEnvironment>& environment);

// Whether this process is one to print what all ranks would print alike before MPI is there: all but the later ranks of
// an MPI launcher. Processes that MPI will not know of as ranks cannot rely on each other.
bool speaks_before_mpi();

// LOCKSTEP_EXPECTED_WORLD_SIZE, nothing when unset or empty. Throws Failure(usage) when it is not a number above 0.
std::optional<int> expected_world_size();

// Why `found` ranks met where `expected` were started, and what to do about it: the hint of the error.
std::string world_size_hint(int found, int expected, const std::optional<RankEnvironment>& environment);

// What else to do where the number was only taken from the launcher's variables.
std::string alone_on_purpose_hint();

}  // namespace lockstep
