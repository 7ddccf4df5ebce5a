#include "lockstep/launchers/experiment.h"

#include <chrono>
#include <fstream>
#include <thread>

#include "lockstep/core/lost_run.h"
#include "lockstep/launchers/follow_log.h"
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

RunDirectory Experiment::submit(Estimator estimator, std::vector<std::string>* notices) const {
  estimator.experiment = name_;
  const LocalMachine machine = probe_local_machine();
  const Submission submission = plan_submission(estimator, machine, &workspace_).value();
  if (notices) *notices = submission.notices;
  return execute(submission, workspace_, machine, own_command_line());
}

std::vector<RunSummary> Experiment::runs() const { return list_runs(workspace_, name_); }

RunSummary wait_for_completion(const RunDirectory& run, bool show_output) {
  constexpr int kInterrupted = 130;  // Ctrl-C: the run goes on, this wait does not
  if (show_output && follow_run(run) == kInterrupted) return run.summary();
  RunSummary summary = run.summary();
  for (; !is_settled(run, summary); summary = run.summary()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return summary;
}

}  // namespace lockstep
