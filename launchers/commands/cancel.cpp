// lockstep cancel
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

// Its supervisor can no longer end it. Where that process is known to be gone from this machine, this one takes its place for the last event.
int end_orphaned(const RunDirectory& run, const RunSummary& summary) {
  if (summary.detail.find(" on " + host_name() + ")") == std::string::npos)
    fail(ErrorKind::environment, "run " + run.id() + " cannot be canceled: " + summary.detail,
         "if that host is reachable, cancel it there");
  const int killed = sweep_run(run.id());
  RunEvent event;
  event.status = RunStatus::Canceled;
  event.attempt = summary.attempts;
  event.cause = EndCause{};
  event.cause->reason = "canceled";
  event.cause->host = host_name();
  event.cause->message = "canceled by " + user_name() + "@" + host_name() + "; before that: " + summary.detail;
  event.detail = event.cause->message;
  run.append_event(event);
  std::cout << "run " << run.id() << ": Canceled (" << summary.detail << "; " << killed << " processes ended)\n";
  return 0;
}

int wait_for_end(const RunDirectory& run) {
  WaitSignals signals(/*child=*/false, /*stop=*/true);
  RunSummary summary = run.summary();
  while (!is_terminal(summary.status) && summary.status != RunStatus::NotResponding) {
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
  if (is_terminal(summary.status)) {
    std::cout << "run " << run.id() << " is over already: " << status_name(summary.status) << '\n';
    return 0;
  }
  if (summary.status == RunStatus::NotResponding) return end_orphaned(run, summary);
  run.request_cancel(user_name() + "@" + host_name());
  if (options.wait) return wait_for_end(run);
  std::cout << "run " << run.id() << ": CancelRequested\n";
  return 0;
}

}  // namespace lockstep
