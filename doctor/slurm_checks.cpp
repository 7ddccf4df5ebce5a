#include <cstdlib>

#include "lockstep/doctor/checks.h"

namespace lockstep {

Findings check_slurm() {
  const char* const path = std::getenv("PATH");
  const auto sinfo = find_program("sinfo", path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  if (!sinfo) return {{Level::ok, "Slurm", "none: there is no sinfo on PATH", ""}};
  const auto end = capture({.argv = {sinfo->string(), "--noheader", "--format=%P %D %a"}, .new_session = true}, 15);
  if (!end || end->status.code != 0) {
    const std::string said = end ? end->error.substr(0, end->error.find('\n')) : end.error().what;
    return {
        {Level::warning, "Slurm", "sinfo fails: " + said, "is this a login node of the cluster, and slurmctld up?"}};
  }
  std::string partitions = end->output;
  while (!partitions.empty() && partitions.back() == '\n') partitions.pop_back();
  for (std::size_t at = 0; (at = partitions.find('\n', at)) != std::string::npos;) partitions.replace(at, 1, "; ");
  if (partitions.empty()) return {{Level::warning, "Slurm", "it has no partitions", "ask its administrator"}};
  return {{Level::ok, "Slurm", "partitions (nodes, state): " + partitions, ""}};
}

}  // namespace lockstep
