// The one declaration of an estimator's fields as options.
#include <cstdlib>

#include "lockstep/core/estimator.h"

namespace lockstep {
namespace {

// `--environment-variables NAME`: the submitter's own value is handed on.
std::string value_here(const std::string& name, std::string& value) {
  const char* found = std::getenv(name.c_str());
  if (found == nullptr) return "is not set here: write " + name + "=VALUE, or " + name + "= for an empty one";
  value = found;
  return {};
}

OptionTable<Estimator> make_table() {
  OptionTable<Estimator> table;
  table.group("What to run")
      .add("source-directory", &Estimator::source_directory, "DIR",
           "frozen into the run's snapshot; .amlignore, else .lockstepignore, else .gitignore says what is left out")
      .add("entry-script", &Estimator::entry_script, "FILE",
           "executable, .py or .sh in the source directory, or a program on PATH or beside lockstep")
      .add("command", &Estimator::command, "LINE",
           "instead of an entry script: a command line, split into words, run without a shell")
      .add("script-params", &Estimator::script_params, "NAME=VALUE",
           "a parameter of the entry script, in order; an empty value gives a bare flag, $RANK and other variables are "
           "filled in by each rank")
      .add("inputs", &Estimator::inputs, "NAME=DATASET",
           "a registered data set, NAME[@VERSION][:mount|:download|:direct][:to=PATH]: its place on the node is in the "
           "variables NAME and LOCKSTEP_INPUT_NAME, and input:NAME in a parameter stands for it")
      .add("experiment", &Estimator::experiment, "NAME", "runs of one purpose are kept together under this name")
      .add("display-name", &Estimator::display_name, "TEXT", "shown beside the run's id")
      .add("description", &Estimator::description, "TEXT", "what the run is for")
      .add("tags", &Estimator::tags, "KEY=VALUE", "a label of the run");
  table.group("Where, and on how many processes")
      .add("compute-target", &Estimator::compute_target, "NAME", "where it runs")
      .add("node-count", &Estimator::node_count, "N", "machines")
      .add("process-count-per-node", &Estimator::process_count_per_node, "N", "ranks on each machine")
      .add("distributed-training", &Estimator::distributed_training, "mpi[:[NODESx]N]|none",
           "how ranks are started; mpi when there is more than one. mpi:2x4 are two nodes of four processes")
      .add("use-gpu", &Estimator::use_gpu, "", "the ranks need GPUs");
  table.group("Its environment: either a definition, or the pieces of one")
      .add("environment-definition", &Estimator::environment_definition, "NAME[@VERSION]|PATH",
           "a registered environment, or a file or folder that describes one")
      .add("conda-packages", &Estimator::conda_packages, "PACKAGE", "a package that conda installs: numpy=1.26")
      .add("pip-packages", &Estimator::pip_packages, "PACKAGE", "a package that pip installs: numpy==1.26")
      .add("conda-dependencies-file", &Estimator::conda_dependencies_file, "FILE",
           "conda's description of an environment, in the source directory")
      .old_name("conda-dependencies-file-path")
      .add("pip-requirements-file", &Estimator::pip_requirements_file, "FILE",
           "pip's list of requirements, in the source directory")
      .old_name("pip-requirements-file-path")
      .add("framework", &Estimator::framework, "NAME",
           "pytorch, tensorflow, keras, chainer or sklearn: adds its packages")
      .add("framework-version", &Estimator::framework_version, "VERSION", "of the framework's packages")
      .add("python", &Estimator::python, "PATH", "an interpreter that is used with the packages it has")
      .add("user-managed", &Estimator::user_managed, "", "all packages are there already; none is installed")
      .add("modules", &Estimator::modules, "NAME", "loaded by `module load` before the ranks start")
      .add("custom-docker-image", &Estimator::custom_docker_image, "IMAGE",
           "the ranks run in a container of this image")
      .old_name("custom-docker-base-image")
      .add("use-docker", &Estimator::use_docker, "", "false: never in a container")
      .add("shm-size", &Estimator::shm_size, "SIZE", "of a container's /dev/shm: 2g");
  table.group("How it runs")
      .add("environment-variables", &Estimator::environment_variables, "NAME[=VALUE]",
           "set for every rank, NAME alone to its value here; of your other variables ranks get PATH, HOME, "
           "LD_LIBRARY_PATH, LD_PRELOAD, PYTHONPATH and those of MPI, CUDA, NCCL and OpenMP (--dry-run lists them); "
           "values of *KEY*, *TOKEN*, *SECRET*, *PASSWORD*, *PASSWD*, *PASSPHRASE* and *CREDENTIAL* are not written "
           "down")
      .bare_value(value_here)
      .add("max-run-duration-seconds", &Estimator::max_run_duration_seconds, "S", "the run is ended after this time")
      .add("max-restarts", &Estimator::max_restarts, "N", "how often a failed run is started again")
      .add("checkpoint-signal-seconds", &Estimator::checkpoint_signal_seconds, "S",
           "so long before a limit of time or a preemption the run is told to write a checkpoint")
      .add("resume-from", &Estimator::resume_from, "RUN|FILE", "a run, or a checkpoint file, to go on from");
  table.group("Limits of the snapshot")
      .add("snapshot-limit-bytes", &Estimator::snapshot_limit_bytes, "B", "largest sum of file sizes")
      .add("snapshot-limit-files", &Estimator::snapshot_limit_files, "N", "largest number of files");
  return table;
}

}  // namespace

const OptionTable<Estimator>& estimator_options() {
  static const OptionTable<Estimator> table = make_table();
  return table;
}

}  // namespace lockstep
