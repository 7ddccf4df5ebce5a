// Starts one attempt of a run on this machine, as its launch plan says.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

#include "lockstep/core/run_store.h"
#include "lockstep/launchers/launch_plan.h"

namespace lockstep {

struct Launch {
  int attempt = 1;
  pid_t pid = -1;  // mpirun, or the only rank
  bool by_mpirun = false;
  std::uintmax_t mpi_log_offset = 0;  // where this attempt's part of 70_mpi_log.txt begins
  std::uintmax_t rank0_log_offset = 0;
};

// Pure. The whole environment of the launcher: what the plan gives its ranks out of `available`, over it the variables
// of run_contract.h. resume_from: "" leaves LOCKSTEP_RESUME_FROM unset.
std::map<std::string, std::string> launch_environment(const LaunchPlan& plan, const RunDirectory& run, int attempt,
                                                      const std::string& resume_from,
                                                      const std::map<std::string, std::string>& available);

// Makes attempts/NNN with attempt.json, opens the logs (appending) and starts the plan's line in work/, in a session of
// its own that dies with this process. Environment error when it cannot be started.
Result<Launch> launch_attempt(const RunDirectory& run, const LaunchPlan& plan, int attempt,
                              const std::string& resume_from);

// Whether argv begins with mpirun under one of its names.
bool starts_with_mpirun(const LaunchPlan& plan);

}  // namespace lockstep
