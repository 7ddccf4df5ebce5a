#include "lockstep/launchers/experiment.h"

#include <fstream>

#include "lockstep/core/interactive_run.h"
#include "lockstep/launchers/submission.h"

namespace lockstep {
namespace {

// How this process was called, for the record.
std::vector<std::string> own_command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return words;
}

}  // namespace

Experiment::Experiment(Workspace workspace, std::string name)
    : workspace_(std::move(workspace)), name_(std::move(name)) {
  if (!is_valid_name(name_))
    fail(ErrorKind::usage, "\"" + name_ + "\" cannot name an experiment",
         "use letters, digits and . _ -, beginning with a letter or digit, at most 128");
}

Run Experiment::submit(Estimator estimator, std::vector<std::string>* notices) const {
  estimator.experiment = name_;
  const LocalMachine machine = probe_local_machine();
  const Submission submission = plan_submission(estimator, machine, &workspace_).value();
  if (notices) *notices = submission.notices;
  return Run::open(execute(submission, workspace_, machine, own_command_line()));
}

Run Experiment::start_logging(std::string_view display_name) const {
  return start_interactive_run(workspace_, name_, display_name);
}

std::vector<RunSummary> Experiment::runs() const { return list_runs(workspace_, name_); }

}  // namespace lockstep
