// What the doctor looks at. Each function gives its findings and never throws for what it finds.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "lockstep/core/process.h"
#include "lockstep/doctor/finding.h"
#include "lockstep/launchers/launch_plan.h"

namespace lockstep {

// Cores, memory, the memory that ranks share, huge pages, what may be locked for the network.
Findings check_machine(const LocalMachine& machine);

// Free space and files, an atomic rename, the time of an fsync in `directory`, by files that are removed again.
Findings check_files(const std::filesystem::path& directory);

// sinfo's partitions, or that there is none.
Findings check_slurm();

// How the probe is started: lockstep-probe beside this program, under mpirun.
struct ProbeOptions {
  int processes = 0;       // 0: as many as cores, 2 at least and 4 at most
  std::string hosts = {};  // "node1:2,node2:2" for mpirun; empty: this machine
  double timeout_seconds = 60;
};
// The mpirun command; empty words where the probe is not installed.
std::vector<std::string> probe_command(const LocalMachine& machine, const ProbeOptions& options,
                                       const std::string& probe);

// MPI, NCCL and links: starts the probe and reads what it prints. measured: gets the links as JSON.
Findings check_communication(const LocalMachine& machine, const ProbeOptions& options,
                             nlohmann::ordered_json* measured);

// Pure: what the end and the output of a probe of `processes` ranks mean.
Findings explain_probe(const Captured& end, int processes, double timeout_seconds, int gpus,
                       nlohmann::ordered_json* measured);

}  // namespace lockstep
