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
struct Estimator {
  std::filesystem::path source_directory = ".";
  std::string entry_script;  // executable, .py or .sh inside source_directory, or a program found on PATH
  std::string command;  // instead of entry_script: a command line, split into words as a shell does, run without one
  KeyValues script_params = {};  // in order; an empty value gives a bare flag
  std::string experiment = "default";
  std::string compute_target = "local";
  int node_count = 1;
  int process_count_per_node = 1;
  std::string distributed_training;      // "", "mpi" or "none"; "" means mpi when there is more than one process
  KeyValues environment_variables = {};  // not those that Lockstep sets itself, such as RANK
  bool use_gpu = false;
  std::optional<std::int64_t> max_run_duration_seconds = {};
  int max_restarts = 0;
  KeyValues tags = {};
  std::string resume_from;  // a run, or a checkpoint file
  std::int64_t snapshot_limit_bytes = 300'000'000;
  std::int64_t snapshot_limit_files = 2000;

  int world_size() const { return node_count * process_count_per_node; }
};

// The one declaration behind the INI file, the options of `lockstep submit` and their help.
const OptionTable<Estimator>& estimator_options();

// All that is wrong, each with what / where (origin of the value, where given) / what to do. Empty: the estimator is
// sound. Looks at the file system only to see that source_directory and entry_script exist.
std::vector<Error> validate(const Estimator& estimator, const OptionTableBase::Origins& origins = {});

nlohmann::ordered_json to_json(const Estimator& estimator);  // values of secret names (words.h) redacted
Estimator estimator_from_json(const nlohmann::ordered_json& json);

}  // namespace lockstep
