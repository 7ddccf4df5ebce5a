#include "lockstep/launchers/launch_plan.h"

#include <algorithm>
#include <array>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/words.h"

namespace lockstep {
namespace {

// What a rank may inherit: enough for programs, libraries and MPI to work, and no more, so that a run depends on what
// is recorded with it. OMPI_MCA_* but not OMPI_*: a submit from inside an MPI job must not pass that job's rank on.
const std::vector<std::string> kInherited{
    "PATH",         "HOME",        "USER",     "LOGNAME",         "SHELL",      "TERM",        "TMPDIR",
    "TZ",           "LANG",        "LC_*",     "LD_LIBRARY_PATH", "LD_PRELOAD", "PYTHONPATH",  "VIRTUAL_ENV",
    "CONDA_PREFIX", "OMP_*",       "MKL_*",    "OPENBLAS_*",      "GOMP_*",     "KMP_*",       "NCCL_*",
    "CUDA_*",       "ROCR_*",      "HIP_*",    "OMPI_MCA_*",      "PRTE_MCA_*", "PMIX_MCA_*",  "UCX_*",
    "FI_*",         "HWLOC_*",     "SLURM_*",  "LOCKSTEP_*",      "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "http_proxy",   "https_proxy", "no_proxy",
};

void note(std::vector<std::string>* warnings, std::string text) {
  if (warnings) warnings->push_back(std::move(text));
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

Error lacking(std::string what, std::string hint) {
  return {ErrorKind::environment, std::move(what), {}, std::move(hint)};
}

// entry_script with its interpreter, then the parameters; or the words of `command`.
Result<std::vector<std::string>> rank_command(const Estimator& estimator, const LocalMachine& machine) {
  if (!estimator.command.empty()) return split_words(estimator.command);
  std::vector<std::string> argv;
  const std::string& script = estimator.entry_script;
  if (ends_with(script, ".py")) {
    if (machine.python.empty())
      return lacking("entry_script " + script + " needs python3, which is not on PATH",
                     "install python3, or put it on PATH");
    argv = {machine.python, script};
  } else if (ends_with(script, ".sh")) {
    if (machine.bash.empty())
      return lacking("entry_script " + script + " needs bash, which is not on PATH", "install bash, or put it on PATH");
    argv = {machine.bash, script};
  } else {
    argv = {script.front() == '/' ? script : "./" + script};
  }
  for (const auto& [name, value] : estimator.script_params) {
    if (!name.empty() || value.empty()) argv.push_back(name);  // both empty: an empty word
    if (!value.empty()) argv.push_back(value);
  }
  return argv;
}

// "--data=dataset:mnist" -> "--data=${LOCKSTEP_INPUT_mnist}"
void point_to_inputs(std::vector<std::string>& argv) {
  for (std::string& word : argv) {
    const std::size_t at = reference_position(word);
    if (at == std::string::npos) continue;
    const std::string text = word.substr(at);
    const std::string name = text.starts_with(kInputPrefix) ? text.substr(kInputPrefix.size())
                                                            : input_name(parse_dataset_reference(text).value());
    word = word.substr(0, at) + "${" + input_variable(name) + "}";
  }
}

// Open MPI binds every job to the first cores of the machine, whatever mask or other job there is. So ranks are
// bound only where this job fills the whole machine; else two jobs would share a core while others idle.
std::vector<std::string> mpirun_line(const LocalMachine& machine, int ranks) {
  const std::string n = std::to_string(ranks);
  if (machine.mpi_version.rfind("Open MPI", 0) != 0) return {machine.mpirun, "-n", n};
  // The host is named because in a batch job mpirun would spread the ranks over the job's nodes.
  const std::string host = "localhost:" + std::to_string(std::min(ranks, machine.cores));
  std::vector<std::string> line{machine.mpirun, "--host", host, "-np", n};
  const bool fills = ranks == machine.cores && machine.all_cores;
  const std::vector<std::string> placement = fills ? std::vector<std::string>{"--map-by", "core", "--bind-to", "core"}
                                                   : std::vector<std::string>{"--bind-to", "none"};
  line.insert(line.end(), placement.begin(), placement.end());
  if (ranks > machine.cores) line.push_back("--oversubscribe");
  return line;
}

void add_environment(LaunchPlan& plan, const Estimator& estimator, const LocalMachine& machine,
                     std::vector<std::string>* warnings) {
  auto& environment = plan.environment;
  environment["MASTER_ADDR"] = "127.0.0.1";
  environment["PYTHONUNBUFFERED"] = "1";  // or nothing would be seen in the log before the end
  // One rank, one thread: with a thread per core in each rank, N ranks would fight for the machine N times over.
  environment["OMP_NUM_THREADS"] = machine.omp_num_threads.empty() ? "1" : machine.omp_num_threads;
  if (estimator.use_gpu) environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
  if (machine.root) {
    environment["OMPI_ALLOW_RUN_AS_ROOT"] = environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
    const bool by_mpirun = plan.launch_argv.front() == machine.mpirun;
    if (by_mpirun) note(warnings, "running as root: Open MPI is told to allow it");
  }
  if (!machine.python_modules.empty()) plan.prepended["PYTHONPATH"] = machine.python_modules;  // import lockstep
  plan.inherited = kInherited;
  for (const auto& [name, value] : estimator.environment_variables) {
    if (is_secret_name(name))
      plan.inherited.push_back(name);  // its value travels in the supervisor's environment only
    else
      environment[name] = value;
  }
}

Result<bool> check_gpus(const Estimator& estimator, const LocalMachine& machine, std::vector<std::string>* warnings) {
  if (!estimator.use_gpu) return true;
  if (machine.gpus == 0)
    return lacking("use_gpu asks for a GPU, and this machine has none", "leave use_gpu out to train on the CPU");
  if (estimator.world_size() > machine.gpus)
    note(warnings, std::to_string(estimator.world_size()) + " ranks share " + std::to_string(machine.gpus) +
                       " GPUs: they take turns");
  return true;
}

}  // namespace

std::optional<Error> check_compute_target(const Estimator& estimator) {
  const std::array<std::string, 1> known{"local"};
  const std::string& target = estimator.compute_target;
  if (target == known[0]) return {};
  return Error{
      ErrorKind::usage, "unknown compute target \"" + target + "\"" + suggestion(target, known), "compute_target", {}};
}

Result<LaunchPlan> plan_local_launch(const Estimator& estimator, const LocalMachine& machine,
                                     std::vector<std::string>* warnings, std::vector<InputPlan> inputs) {
  if (const auto target = check_compute_target(estimator)) return *target;
  if (machine.lockstep.empty())
    return lacking("the program lockstep is neither beside this one nor on PATH",
                   "it starts the ranks: put its folder on PATH");
  if (const auto gpus = check_gpus(estimator, machine, warnings); !gpus) return gpus.error();
  auto command = rank_command(estimator, machine);
  if (!command) return command.error();

  LaunchPlan plan;
  plan.target = plan.target_kind = "local";
  plan.node_count = estimator.node_count;
  plan.process_count_per_node = estimator.process_count_per_node;
  plan.rank_argv = *command;
  point_to_inputs(plan.rank_argv);
  plan.inputs = std::move(inputs);
  const int ranks = estimator.world_size();
  const bool mpi = estimator.distributed_training == "mpi" || (estimator.distributed_training.empty() && ranks > 1);
  if (mpi) {
    if (machine.mpirun.empty())
      return lacking(std::to_string(ranks) + " ranks need mpirun, which is not on PATH",
                     "install an MPI (Debian: apt-get install openmpi-bin), or load its module");
    plan.launch_argv = mpirun_line(machine, ranks);
  }
  const std::vector<std::string> starter{machine.lockstep, "rank-exec"};
  plan.launch_argv.insert(plan.launch_argv.end(), starter.begin(), starter.end());
  if (!mpi) plan.launch_argv.push_back("--alone");
  if (!plan.inputs.empty()) plan.launch_argv.push_back("--inputs");
  plan.launch_argv.push_back("--");
  plan.launch_argv.insert(plan.launch_argv.end(), plan.rank_argv.begin(), plan.rank_argv.end());
  add_environment(plan, estimator, machine, warnings);

  if (estimator.node_count > 1)
    note(warnings, "node_count is " + std::to_string(estimator.node_count) +
                       " and the local target is one machine: all " + std::to_string(ranks) + " ranks run here");
  if (ranks > machine.cores)
    note(warnings, std::to_string(ranks) + " ranks on " + std::to_string(machine.cores) +
                       (machine.cores == 1 ? " core" : " cores") +
                       ": they take turns, expect no speed-up from the surplus");
  return plan;
}

std::map<std::string, std::string> environment_of_ranks(const LaunchPlan& plan,
                                                        const std::map<std::string, std::string>& available) {
  std::map<std::string, std::string> environment;
  for (const std::string& pattern : plan.inherited) {
    if (pattern.empty() || pattern.back() != '*') {
      if (const auto found = available.find(pattern); found != available.end()) environment.insert(*found);
      continue;
    }
    const std::string prefix = pattern.substr(0, pattern.size() - 1);
    for (auto at = available.lower_bound(prefix); at != available.end() && at->first.rfind(prefix, 0) == 0; ++at)
      environment.insert(*at);
  }
  for (const auto& [name, value] : plan.environment) environment[name] = value;
  for (const auto& [name, folders] : plan.prepended) {
    std::string& value = environment[name];
    value = value.empty() ? folders : folders + ":" + value;
  }
  return environment;
}

}  // namespace lockstep
