// What will be started, decided completely before anything is: printed by --dry-run, compared in tests, kept in run.json.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/estimator.h"

namespace lockstep {

struct LaunchPlan {
  std::string target;                             // "local"
  std::string target_kind;                        // "local"; "ssh", "slurm" later
  int node_count = 1;
  int process_count_per_node = 1;
  int slots_per_rank = 1;                         // cores or GPUs a rank takes on its target
  std::vector<std::string> rank_argv;             // what one rank runs, before variables are expanded
  std::vector<std::string> launch_argv;           // the whole line, mpirun included; equals rank_argv for distributed_training none
  std::map<std::string, std::string> environment; // what ranks get besides the allow-list of inherited names
  std::vector<std::string> inherited;             // names (or prefixes ending in *) taken from the submitter's environment
  std::string work_directory = "work";            // below the run directory
};

// What the machine offers; found at the edge, given to the pure planner.
struct LocalMachine {
  int cores = 1;
  int gpus = 0;
  bool root = false;                              // mpirun needs to be told
  std::string mpirun;                             // absolute path, or "" when there is none
  std::string mpi_version;                        // "Open MPI 4.1.4"
};
LocalMachine probe_local_machine();

// Pure. Usage error: not a known target, more ranks per node than… (allowed, oversubscribed, with a warning in `warnings`), mpi asked but no mpirun found.
Result<LaunchPlan> plan_local_launch(const Estimator& estimator, const LocalMachine& machine,
                                     std::vector<std::string>* warnings = nullptr);

nlohmann::ordered_json to_json(const LaunchPlan& plan);
LaunchPlan launch_plan_from_json(const nlohmann::ordered_json& json);

// For people and --dry-run: commands quoted so that they can be pasted into a shell.
std::string describe(const LaunchPlan& plan);
std::string shell_quote(const std::vector<std::string>& argv);

}  // namespace lockstep
