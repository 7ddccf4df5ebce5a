// lockstep cancel
#include "lockstep/core/lost_run.h"
#include "lockstep/core/machine.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/process_tree.h"
#include "lockstep/launchers/wait_signals.h"

namespace lockstep {
namespace {

struct CancelOptions {
  bool wait = false;
};

constexpr CommandText kText{
    "lockstep cancel RUN [options]",
    "Ends a run: its processes get SIGTERM, and SIGKILL two seconds later. Outputs, logs and metrics are kept.",
    "  lockstep cancel latest --wait"};

// Nobody looks after the run any more: ends what is left of it, and writes down how it ended. It was not canceled.
int end_lost(const RunDirectory& run, RunSummary summary) {
  const int killed = sweep_run(run.id());
  // Its supervisor's heir may be about to write the end, and has a few seconds for it.
  WaitSignals signals(/*child=*/false, /*stop=*/true);
  for (; summary.status == RunStatus::NotResponding; summary = run.summary()) {
    if (is_settled(run, summary))
      fail(ErrorKind::environment, "run " + run.id() + " cannot be ended from here: " + summary.detail,
           "run this command on the host where its supervisor is, or was");
    signals.wait(0.1);
    if (signals.stop_signal() != 0) return 130;
  }
  if (summary.derived_end) end_lost_run(run);
  std::cout << "run " << run.id() << ": " << status_name(summary.status) << " (" << summary.detail << "; " << killed
            << " processes ended)\n";
  return 0;
}

int wait_for_end(const RunDirectory& run) {
  WaitSignals signals(/*child=*/false, /*stop=*/true);
  RunSummary summary = run.summary();
  while (!is_settled(run, summary)) {
    signals.wait(0.1);
    if (signals.stop_signal() != 0) return 130;
    summary = run.summary();
  }
  std::cout << "run " << run.id() << ": " << status_name(summary.status) << '\n';
  return is_terminal(summary.status) ? 0 : 1;
}

}  // namespace

int cancel_command(const Arguments& arguments) {
  CancelOptions options;
  OptionTable<CancelOptions> table;
  table.add("wait", &CancelOptions::wait, "", "return when the run has ended");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1)) return 0;
  const RunDirectory run = run_by_reference(words.front());
  const RunSummary summary = run.summary();
  if (summary.derived_end || summary.status == RunStatus::NotResponding) return end_lost(run, summary);
  if (is_terminal(summary.status)) {
    std::cout << "run " << run.id() << " is over already: " << status_name(summary.status) << '\n';
    return 0;
  }
  run.request_cancel(user_name() + "@" + host_name());
  if (options.wait) return wait_for_end(run);
  std::cout << "run " << run.id() << ": CancelRequested\n";
  return 0;
}

}  // namespace lockstep
