// What is known about an experiment beyond its runs: runs/EXPERIMENT/experiment.json.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/workspace.h"

namespace lockstep {

struct ExperimentRecord {
  std::string name;
  bool archived = false;    // not listed unless asked for; its runs stay where they are
  std::size_t runs = 0;     // how many
  std::int64_t newest = 0;  // when the newest was submitted, seconds since 1970; 0: no run
};

// Of an experiment's directory; false when it has no record, or an unreadable one.
bool is_archived(const std::filesystem::path& experiment);

// By name. Counts runs and reads none.
std::vector<ExperimentRecord> list_experiments(const Workspace& workspace);
// Throws Failure(usage), with the nearest names, when there is none.
ExperimentRecord find_experiment(const Workspace& workspace, const std::string& name);
// Throws as find_experiment, and Failure(environment) when it cannot be written.
void set_archived(const Workspace& workspace, const std::string& name, bool archived);

}  // namespace lockstep
