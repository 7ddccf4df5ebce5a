// Submitting from C++:
//
//   lockstep::Experiment experiment(lockstep::Workspace::find_or_create().value(), "cifar");
//   lockstep::RunDirectory run = experiment.submit({.source_directory = "src", .entry_script = "train.py"});
//   lockstep::RunSummary end = lockstep::wait_for_completion(run, /*show_output=*/true);
#pragma once

#include <string>
#include <vector>

#include "lockstep/core/estimator.h"
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
  RunDirectory submit(Estimator estimator, std::vector<std::string>* notices = nullptr) const;

  // Newest first.
  std::vector<RunSummary> runs() const;

 private:
  Workspace workspace_;
  std::string name_;
};

// Blocks until the run has ended or nobody looks after it any more (NotResponding). show_output: rank 0's log goes to
// standard output meanwhile, and how it ended.
RunSummary wait_for_completion(const RunDirectory& run, bool show_output = false);

}  // namespace lockstep
