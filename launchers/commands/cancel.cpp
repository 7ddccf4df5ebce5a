// lockstep cancel
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/publish.h"
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

// "" when nobody can look after the run any more: no supervisor came, or it was on this machine and is gone.
std::string supervisor_elsewhere(const RunDirectory& run) {
  const auto path = run.path() / "supervisor.json";
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  const auto supervisor = nlohmann::json::parse(read_file(path), nullptr, false);
  const std::string host = supervisor.is_object() ? supervisor.value("host", "") : "";
  return host == host_name() ? "" : host;
}

// In place of the supervisor that cannot do it: ends what is left of the run and writes the last event.
int end_orphaned(const RunDirectory& run, const RunSummary& summary) {
  if (const std::string host = supervisor_elsewhere(run); !host.empty())
    fail(ErrorKind::environment, "run " + run.id() + " cannot be canceled from here: " + summary.detail,
         "if " + host + " can be reached, run this command there");
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
