// What to train and on how many nodes and processes: plain values, one option table, one validation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/options.h"

namespace lockstep {

// Fields, names and defaults of design section "Estimator"; the same words in C++, in an INI file and as options.
//
//   Estimator job{.source_directory = "src", .entry_script = "train", .script_params = {{"--epochs", "2"}},
//                 .node_count = 1, .process_count_per_node = 2};
//   job.with_input("images", "dataset:cifar10:download").with_tag("stage", "early");
struct Estimator {
  std::filesystem::path source_directory = ".";
  std::string entry_script = {};  // executable, .py or .sh inside source_directory, or a program found on PATH
  std::string command =
      {};  // instead of entry_script: a command line, split into words as a shell does, run without one
  KeyValues script_params = {};  // in order; an empty value gives a bare flag
  KeyValues inputs = {};         // name -> data set (dataset_reference.h); its path is in the variable of that name
  std::string experiment = "default";
  std::string display_name = {};  // for people
  std::string description = {};
  KeyValues tags = {};

  std::string compute_target = "local";
  int node_count = 1;
  int process_count_per_node = 1;
  // "", "mpi", "none", or "mpi:2x4" for two nodes of four processes; "" means mpi when there is more than one process
  std::string distributed_training = {};
  bool use_gpu = false;

  // The environment: either a definition, or its pieces.
  std::string environment_definition = {};  // NAME[@VERSION] of a registered one, or a file or folder that holds one
  std::vector<std::string> conda_packages = {};  // "scikit-learn", "numpy=1.26"
  std::vector<std::string> pip_packages = {};    // "numpy==1.26"
  std::string conda_dependencies_file = {};      // in source_directory
  std::string pip_requirements_file = {};        // in source_directory
  std::string python = {};                       // an interpreter that is used with what it has
  bool user_managed = false;                     // all packages are there already: none is installed
  std::string framework = {};                    // pytorch, tensorflow, keras, chainer or sklearn: adds its packages
  std::string framework_version = {};            // "": the default (framework_presets.h)
  std::vector<std::string> modules = {};         // `module load`ed, in order
  std::string custom_docker_image = {};          // ranks run in a container of it
  std::optional<bool> use_docker = {};           // false: never in a container
  std::string shm_size = {};                     // of a container's /dev/shm: "2g"
  KeyValues environment_variables = {};          // not those that Lockstep sets itself, such as RANK

  std::optional<std::int64_t> max_run_duration_seconds = {};
  int max_restarts = 0;
  // So long before its end by a limit or a preemption a run is told to write a checkpoint.
  std::optional<std::int64_t> checkpoint_signal_seconds = {};
  std::string resume_from = {};  // a run, or a checkpoint file
  std::int64_t snapshot_limit_bytes = 300'000'000;
  std::int64_t snapshot_limit_files = 2000;

  int world_size() const { return node_count * process_count_per_node; }

  // The same fields, to be written in a row.
  Estimator& with_script_param(std::string name, std::string value = {});
  Estimator& with_input(std::string name, std::string reference);
  Estimator& with_tag(std::string name, std::string value = {});
  Estimator& with_environment_variable(std::string name, std::string value);
  Estimator& with_conda_package(std::string package);
  Estimator& with_pip_package(std::string package);
  Estimator& with_module(std::string module);
  Estimator& on_nodes(int count, int processes_per_node = 1);  // and distributed_training mpi when that is several
  Estimator& on_target(std::string name);
  Estimator& for_at_most(std::int64_t seconds);
  Estimator& resuming(std::string run_or_file);
};

// Azure ML's later name of the same thing.
using ScriptRunConfig = Estimator;

// The one declaration behind the INI file, the options of `lockstep submit`, their help and the JSON.
const OptionTable<Estimator>& estimator_options();

// All that is wrong, each with what / where (origin of the value, where given) / what to do. Empty: the estimator is
// sound. Looks at the file system only to see that source_directory, entry_script and files of packages exist.
std::vector<Error> validate(const Estimator& estimator, const OptionTableBase::Origins& origins = {});

// What is sound, but may not be what was meant: old names of fields, versions taken by default, texts that are longer
// than services take. Sentences for people.
std::vector<std::string> notices(const Estimator& estimator, const OptionTableBase::Origins& origins = {});

// The fields that say in which environment the program runs, and are given. Empty: it runs in the one that there is.
std::vector<std::string> environment_fields(const Estimator& estimator);

nlohmann::ordered_json to_json(const Estimator& estimator);  // values of secret names (words.h) redacted
Estimator estimator_from_json(const nlohmann::ordered_json& json);

}  // namespace lockstep
