// The data sets of a run on one node: brought there once, whatever the target, by the first rank that needs them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lockstep/launchers/launch_plan.h"

namespace lockstep {

// Where copies for the nodes' own use lie: LOCKSTEP_STAGE, a folder on the node's disk; without it
// .lockstep/stage/HOST of the workspace that `run` lies in.
std::filesystem::path stage_directory(const std::filesystem::path& run);

// Pure: where the program finds an input once it is staged.
std::filesystem::path input_place(const InputPlan& input, const std::filesystem::path& work,
                                  const std::filesystem::path& stage);

// Returns the variables that tell the ranks where the inputs are: NAME and LOCKSTEP_INPUT_NAME.
//   mount     the registered place; its size must be the registered one
//   download  a copy in `stage`, made by one process under a claim while the others of the node wait for it, checked
//             against the registered digest, read-only, shared by all runs that use the same contents
//   direct    the registered place, unseen
// With `to` a link in the run's work directory leads there. What was done is appended to logs/65_job_prep_HOST.txt.
// Throws Failure: usage when a data set is not what was registered or a link's place is taken, environment when it
// cannot be copied.
std::map<std::string, std::string> stage_inputs(const std::vector<InputPlan>& inputs, const std::filesystem::path& run,
                                                const std::filesystem::path& work, const std::filesystem::path& stage);

}  // namespace lockstep
