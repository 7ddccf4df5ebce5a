// How each rank ended, known from the rank itself: mpirun (Open MPI 4.1.4) leaves out which rank failed first in half
// of the cases where it fails within its first half second.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "lockstep/core/process.h"

namespace lockstep {

// Forks and returns in the child, which becomes the rank's program. The parent never returns: it waits for the child,
// leaves attempts/NNN/exit_<rank>.json when the child did not end with 0, and ends in the same way, signal included.
// It blocks all signals: launchers signal whole process groups, so the program gets each one itself, once. The child
// dies with it.
void keep_rank(const std::filesystem::path& attempt_directory, int rank);

struct RankExit {
  int rank = 0;
  std::string host;
  ExitStatus status;
};

// Of the ranks that did not end with 0 the first one to end. Files that cannot be read are passed over.
std::optional<RankExit> first_rank_exit(const std::filesystem::path& attempt_directory);

}  // namespace lockstep
