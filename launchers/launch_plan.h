// What will be started, decided completely before anything is: printed by --dry-run, compared in tests, kept in
// run.json.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/dataset_reference.h"
#include "lockstep/core/error.h"
#include "lockstep/core/estimator.h"

namespace lockstep {

// A registered data set that the ranks find below LOCKSTEP_INPUT_<name> (stage_inputs.h).
struct InputPlan {
  std::string name;
  std::string dataset;
  int version = 0;
  DatasetMode mode = DatasetMode::mount;
  std::string source;  // absolute: the registered file or folder
  std::string kind;    // of DatasetRecord
  std::string sha256;  // as registered; "" when it was not computed
  std::int64_t bytes = 0;
  std::string to;  // below the work directory; "": where it lies
};

struct LaunchPlan {
  std::string target;       // "local"
  std::string target_kind;  // "local"; "ssh", "slurm" later
  int node_count = 1;
  int process_count_per_node = 1;
  int slots_per_rank = 1;              // cores a rank takes on its target
  std::vector<std::string> rank_argv;  // what one rank runs, before $NAME is expanded by the rank itself
  // The whole line, started in the work directory: mpirun (unless distributed_training is none), then `lockstep
  // rank-exec` (rank_exec.h), which opens each rank's log and becomes rank_argv. It needs LOCKSTEP_RUN_DIR in its
  // environment.
  std::vector<std::string> launch_argv;
  std::map<std::string, std::string> environment;  // what ranks get besides the inherited names; wins over them
  std::map<std::string, std::string>
      prepended;                        // folders put before those in PATH, PYTHONPATH, …: "a:b", ranks' own first
  std::vector<std::string> inherited;   // names (or prefixes ending in *) taken from the submitter's environment
  std::string work_directory = "work";  // below the run directory
  std::vector<InputPlan> inputs;        // staged on each node before its ranks start
};

// What the machine offers and where its programs are; found at the edge, given to the pure planner.
struct LocalMachine {
  int cores = 1;          // whole cores (not hardware threads) that this process may use
  bool all_cores = true;  // false: an affinity mask or quota leaves some of the machine out
  int gpus = 0;
  bool root = false;                 // mpirun needs to be told
  std::string mpirun = {};           // absolute path, or "" when there is none
  std::string mpi_version = {};      // "Open MPI 4.1.4"
  std::string lockstep = {};         // absolute path of this program: starts the ranks; "" when not found
  std::string python = {};           // absolute path of python3 (a virtual environment's first), or ""
  std::string bash = {};             // absolute path, or ""
  std::string python_modules = {};   // absolute path of the folder of lockstep.py, or ""
  std::string omp_num_threads = {};  // OMP_NUM_THREADS of the submitter, or ""
};
LocalMachine probe_local_machine();

// LocalMachine::cores alone, without starting a program.
int usable_cores();

// Pure. estimator.entry_script is resolved already (entry_script.h). More ranks than cores: allowed, with a line in
// `warnings`, as is each default the user may want to know of. node_count > 1 on this one machine: all ranks run here,
// with a warning. Errors: usage for a target that is not known; environment when mpi is asked for without an mpirun, a
// .py script without a python3, use_gpu without a GPU.
// Words that name data sets become ${LOCKSTEP_INPUT_…}, which each rank expands to its node's path.
Result<LaunchPlan> plan_local_launch(const Estimator& estimator, const LocalMachine& machine,
                                     std::vector<std::string>* warnings = nullptr, std::vector<InputPlan> inputs = {});

nlohmann::ordered_json to_json(const InputPlan& input);
nlohmann::ordered_json to_json(const LaunchPlan& plan);
LaunchPlan launch_plan_from_json(const nlohmann::ordered_json& json);

// Usage error when compute_target is not one of the known targets, with the nearest names.
std::optional<Error> check_compute_target(const Estimator& estimator);

// The environment ranks start with: of `available` (the supervisor's own, NAME -> value) what `inherited` names, then
// `environment`, then `prepended` before what that gave.
std::map<std::string, std::string> environment_of_ranks(const LaunchPlan& plan,
                                                        const std::map<std::string, std::string>& available);

// The environment of this process.
std::map<std::string, std::string> current_environment();

// For people and --dry-run: commands quoted so that they can be pasted into a shell.
std::string describe(const LaunchPlan& plan);
std::string shell_quote(const std::vector<std::string>& argv);

}  // namespace lockstep
