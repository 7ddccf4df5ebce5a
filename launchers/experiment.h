// Submitting from C++:
//
//   lockstep::Experiment experiment(lockstep::Workspace::find_or_create().value(), "cifar");
//   lockstep::Run run = experiment.submit({.source_directory = "src", .entry_script = "train.py"});
//   lockstep::RunSummary end = run.wait_for_completion(/*show_output=*/true);
//
// Without a launcher, logged by this process itself:
//
//   lockstep::Run run = experiment.start_logging();
//   run.log("loss", 0.7);        // ends with run.complete(), run.fail_with(error) or with the handle
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/estimator.h"
#include "lockstep/core/run.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

// A named set of runs in a workspace.
class Experiment {
 public:
  // Throws Failure(usage) when `name` cannot name an experiment.
  Experiment(Workspace workspace, std::string name);

  const std::string& name() const { return name_; }
  const Workspace& workspace() const { return workspace_; }

  // Checks, plans and starts a run, and returns while it goes on in the background. The estimator's own experiment does
  // not count. Needs the program `lockstep` beside this one or on PATH. Throws Failure with all problems at once.
  // notices: what was assumed, in sentences for people.
  Run submit(Estimator estimator, std::vector<std::string>* notices = nullptr) const;

  // A run that this process logs and ends: Completed with complete() or when the handle goes, Failed with fail_with()
  // or when it goes because of an exception. When the process is killed the run has failed.
  Run start_logging(std::string_view display_name = {}) const;

  // Newest first.
  std::vector<RunSummary> runs() const;

 private:
  Workspace workspace_;
  std::string name_;
};

}  // namespace lockstep
