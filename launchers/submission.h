// From an estimator to a submitted run: everything is decided and checked first, then done.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/error_list.h"
#include "lockstep/core/estimator.h"
#include "lockstep/core/git_properties.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/snapshot.h"
#include "lockstep/core/workspace.h"
#include "lockstep/launchers/environment_plan.h"
#include "lockstep/launchers/launch_plan.h"
#include "lockstep/launchers/source_build.h"

namespace lockstep {

// All that a submit will do, as plain values.
struct Submission {
  // Resolved: absolute paths, the program found, counts and packages spelled out, data sets with their versions.
  Estimator estimator;
  Estimator as_given;  // gives the same plan again: only what would mean something else elsewhere or later is replaced
  SnapshotPlan snapshot;
  LaunchPlan launch;
  std::optional<EnvironmentPlan> environment;   // what ranks run with; none: what the machine has
  std::optional<SourceBuildPlan> source_build;  // of an entry_script that is C++ source
  std::optional<GitProperties> git;
  std::vector<std::string> notices;  // for people: what was assumed, what is left out
};

// Writes nothing. workspace: where runs and data sets are looked up; nullptr when there is none yet.
// On failure one Error tells all problems: what validate() finds, or, with a sound estimator, what its snapshot, its
// launch plan and the paths it names lack. Usage error, unless only the machine is at fault.
Result<Submission> plan_submission(const Estimator& estimator, const LocalMachine& machine, const Workspace* workspace,
                                   const OptionTableBase::Origins& origins = {});

// Creates the run, takes the snapshot, starts the detached supervisor and returns. command_line: what the user typed.
// Throws Failure. Where only the supervisor could not be started, the run stays and is marked Failed with the cause;
// else nothing of it is left.
RunDirectory execute(const Submission& submission, const Workspace& workspace, const LocalMachine& machine,
                     const std::vector<std::string>& command_line);

// What a rank runs, for listings: "train.py --epochs 2".
std::string command_text(const Estimator& estimator);

// Without its list of files: what run.json says of a snapshot.
nlohmann::ordered_json snapshot_record(const SnapshotPlan& snapshot);

// What run.json says of it: command, target, estimators, launch plan, snapshot, git properties, data sets.
nlohmann::ordered_json planned_record(const Submission& submission);

// For --dry-run.
std::string describe(const Submission& submission);
nlohmann::ordered_json to_json(const Submission& submission);

}  // namespace lockstep
