// mpirun's own messages about the end of a job.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lockstep/core/process.h"

namespace lockstep {

// What mpirun's own messages say about the first rank that failed.
struct MpiReport {
  std::optional<int> rank;
  std::string host;
  std::optional<int> exit_code;
  std::optional<int> signal;
  std::string message;  // one sentence without rank and host: "exited with code 3", "was ended by signal 9 (Killed)"
};

// Pure: reads Open MPI's texts (4.x and 5.x). Nothing when none of them is there.
std::optional<MpiReport> parse_mpi_report(std::string_view log);

// "exited with code 3", "was ended by signal 9 (Killed)".
std::string describe(const ExitStatus& status);

}  // namespace lockstep
