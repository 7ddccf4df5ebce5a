#include "lockstep/launchers/supervisor.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "lockstep/core/estimator.h"
#include "lockstep/core/lost_run.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_store.h"
#include "lockstep/launchers/attempt.h"
#include "lockstep/launchers/end_cause.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/core/heartbeat.h"
#include "lockstep/launchers/local_launcher.h"
#include "lockstep/launchers/outputs_manifest.h"
#include "lockstep/launchers/process_tree.h"
#include "lockstep/launchers/replaced_folders.h"
#include "lockstep/launchers/run_preparation.h"
#include "lockstep/launchers/shared_build.h"
#include "lockstep/launchers/slots.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class Supervisor {
 public:
  explicit Supervisor(RunDirectory run)
      : run_(std::move(run)),
        guard_(run_.id(), last_words(run_)),
        signals_(/*child=*/true, /*stop=*/true),
        heartbeat_(run_.path()) {}

  void supervise() {
    run_.append_event({.status = RunStatus::Starting});  // where this cannot be written, nothing is started
    try {
      read_record();
      if (prepare() && wait_for_slots())
        run_attempts();
      else
        finish(RunStatus::Canceled, canceled_cause(canceled_by()));
    } catch (const BuildFailure& failure) {
      give_up(failure.error(), failure.last_lines());
    } catch (const std::exception& e) {
      give_up(to_error(e));
    }
    write_manifest();
  }

 private:
  // For the guard, when this process is killed: the run then ends truthfully too.
  static std::function<void()> last_words(const RunDirectory& run) {
    const std::string why =
        "its supervisor (process " + std::to_string(::getpid()) + " on " + host_name() + ") was killed";
    return [run, why] { end_as_heir(run, why); };
  }

  void read_record() {
    const Json record = run_.record();
    try {
      estimator_ = estimator_from_json(record.at("estimator"));
      plan_ = launch_plan_from_json(record.at("launch_plan"));
    } catch (const Json::exception& e) {
      fail(ErrorKind::corrupt_data, e.what(), {}, (run_.path() / "run.json").string());
    }
  }

  RunEvent event_of(RunStatus status, std::string detail, std::optional<EndCause> cause) const {
    RunEvent event;
    event.status = status;
    event.attempt = attempt_;
    event.detail = std::move(detail);
    event.cause = std::move(cause);
    return event;
  }

  // A full disk must not end a job that trains: what cannot be written is said on stderr, and the job goes on.
  void announce(RunStatus status, std::string detail, std::optional<EndCause> cause = {}) {
    note(std::string(status_name(status)) + (detail.empty() ? "" : ": " + detail));
    best_effort("event not written", [&] { run_.append_event(event_of(status, std::move(detail), std::move(cause))); });
  }

  // The supervisor's own log, where submit sent its stderr.
  static void note(const std::string& text) { std::cerr << format_time(unix_time()) << "  " << text << std::endl; }

  // False: it failed. In a run that was removed nothing is written any more, and that is no failure.
  bool best_effort(const char* what, const std::function<void()>& action) const {
    if (run_.is_removed()) return true;
    try {
      action();
      return true;
    } catch (const std::exception& e) {
      note(std::string(what) + ": " + e.what());
      return false;
    }
  }

  // Builds what the ranks need, while others may have the slots. False: canceled meanwhile.
  bool prepare() {
    PreparationCallbacks callbacks;
    callbacks.on_detail = [this](const std::string& detail) { announce(RunStatus::Preparing, detail); };
    callbacks.on_tick = [this] { heartbeat_.beat(); };
    callbacks.wants_stop = [this] { return wants_cancel(run_, signals_); };
    return prepare_run(run_, run_.record(), plan_, signals_, callbacks);
  }

  // False: canceled while waiting.
  bool wait_for_slots() {
    const Workspace workspace = Workspace::from_config(run_.path()).value();
    const int capacity = local_slots(&workspace).value();
    const int ranks = plan_.node_count * plan_.process_count_per_node;
    const int wanted = ranks * std::max(1, plan_.slots_per_rank);
    queue_ =
        std::make_unique<SlotQueue>(workspace.root() / "compute" / "local" / host_name(), run_.id(), wanted, capacity);
    std::string said;
    for (QueuePosition position = queue_->position(); !position.may_start; position = queue_->position()) {
      if (wants_cancel(run_, signals_)) return false;
      if (const std::string detail = position.describe(); detail != said) announce(RunStatus::Queued, said = detail);
      heartbeat_.beat();
      signals_.wait(0.2);
    }
    if (wanted > capacity)
      launch_note_ = std::to_string(ranks) + " ranks want " + std::to_string(wanted) + " slots and share " +
                     std::to_string(capacity) + ": oversubscribed, expect it to be slow";
    return !wants_cancel(run_, signals_);
  }

  void run_attempts() {
    std::string resume_from = estimator_.resume_from;
    for (int failures = 0;;) {
      ++attempt_;
      announce(RunStatus::Starting, launch_note_);
      note(shell_quote(plan_.launch_argv));
      const Launch launch = launch_attempt(run_, plan_, attempt_, resume_from).value();
      const AttemptEnd end = watch(launch);
      end_leftovers();
      for (const std::string& text : recover_replaced_folders(run_, run_.path() / plan_.work_directory)) {
        note(text);
        finalizing_detail_ += (finalizing_detail_.empty() ? "" : "; ") + text;
      }
      const EndCause cause = cause_of(launch, end);
      record_end(cause);
      const NextMove move = next_move(end, cause.exit_code.value_or(1), failures, estimator_.max_restarts);
      if (move == NextMove::retry)
        ++failures;
      else if (move != NextMove::requeue)
        return finish_after(move, cause);
      if (resume_from.empty()) resume_from = "auto";  // what the user gave stays: there may be no checkpoint of its own
      if (!pause_before_next(move, failures, cause)) return finish(RunStatus::Canceled, canceled_cause(canceled_by()));
    }
  }

  // Those that carry the run's id, and those that dropped it: orphans become children of this subreaper.
  void end_leftovers() {
    sweep_run(run_.id());
    sweep_descendants(guard_.pid());
  }

  AttemptEnd watch(const Launch& launch) {
    WatchLimits limits;
    if (estimator_.max_run_duration_seconds) {
      if (!deadline_) deadline_ = unix_time() + static_cast<double>(*estimator_.max_run_duration_seconds);
      limits.deadline = deadline_;
    }
    WatchCallbacks callbacks;
    callbacks.on_running = [this](const std::string& detail) { announce(RunStatus::Running, detail); };
    callbacks.on_canceling = [this] { announce(RunStatus::CancelRequested, "asked for by " + canceled_by()); };
    callbacks.on_tick = [this] { heartbeat_.beat(); };
    return watch_attempt(run_, launch, limits, signals_, callbacks);
  }

  EndCause cause_of(const Launch& launch, const AttemptEnd& end) {
    if (end.stop == StopReason::canceled) return canceled_cause(canceled_by());
    if (end.stop == StopReason::time_limit) return time_limit_cause(run_, *estimator_.max_run_duration_seconds);
    if (end.stop == StopReason::none && end.status.code == contract::kExitDone) return completed_cause();
    // How the launcher ended under our signals says nothing about the rank that failed.
    const ExitStatus status = end.stop == StopReason::none ? end.status : ExitStatus{contract::kExitFailed, 0};
    return find_cause(run_, launch.attempt, status, launch.mpi_log_offset, launch.by_mpirun);
  }

  std::string canceled_by() const {
    if (run_.is_removed()) return "the removal of " + run_.path().string();
    if (!run_.cancel_requested())
      return std::string("a signal to its supervisor (") + ::strsignal(signals_.stop_signal()) + ")";
    const Json request = Json::parse(read_file(run_.path() / contract::kControl / "cancel"), nullptr, false);
    return request.is_object() ? request.value("who", "an unknown user") : std::string("an unknown user");
  }

  std::string what_follows(NextMove move, int failures, double seconds) const {
    const std::string attempt = "attempt " + std::to_string(attempt_);
    if (move == NextMove::requeue) return attempt + " wants to be started again";
    return attempt + " failed; restart " + std::to_string(failures) + " of " + std::to_string(estimator_.max_restarts) +
           " in " + std::to_string(static_cast<int>(seconds)) + " s";
  }

  // False: canceled meanwhile.
  bool pause_before_next(NextMove move, int failures, const EndCause& cause) {
    const double seconds = move == NextMove::requeue ? 0 : back_off_seconds(failures);
    announce(RunStatus::Starting, what_follows(move, failures, seconds), cause);
    for (const double until = unix_time() + seconds; unix_time() < until;) {
      if (wants_cancel(run_, signals_)) return false;
      heartbeat_.beat();
      signals_.wait(std::min(0.2, until - unix_time()));
    }
    return !wants_cancel(run_, signals_);
  }

  void record_end(const EndCause& cause) const {
    const Json record{{"attempt", attempt_}, {"time", unix_time()}, {"cause", to_json(cause)}};
    best_effort("end.json not written", [&] {
      publish_file(run_.attempt_directory(attempt_) / "end.json",
                   record.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
    });
  }

  void finish_after(NextMove move, const EndCause& cause) {
    if (move == NextMove::cancel) return finish(RunStatus::Canceled, cause);
    announce(RunStatus::Finalizing, finalizing_detail_);
    queue_.reset();  // nothing runs any more: the next run need not wait for the digests
    write_manifest();
    finish(move == NextMove::complete ? RunStatus::Completed : RunStatus::Failed, cause);
  }

  void finish(RunStatus status, const EndCause& cause) {
    queue_.reset();
    // Without its last event a run would look as if its supervisor had died: wait a minute for room on the disk.
    const double patience = unix_time() + 60;
    const RunEvent event = event_of(status, cause.message, cause);
    note(std::string(status_name(status)) + ": " + cause.message);
    while (!best_effort("last event not written", [&] { run_.append_event(event); }) && unix_time() < patience) {
      heartbeat_.beat();
      signals_.wait(1);
    }
  }

  // Something the supervisor itself could not do: no program to start, a damaged record, a full disk.
  void give_up(const Error& error, const std::vector<std::string>& last_lines = {}) {
    note(error.message());
    end_leftovers();
    EndCause cause = supervisor_cause(error);
    cause.last_lines = last_lines;
    finish(RunStatus::Failed, cause);
  }

  void write_manifest() {
    if (manifest_written_) return;
    manifest_written_ = true;
    best_effort("no list of outputs", [this] {
      const auto files = list_outputs(run_, [this] { heartbeat_.beat(); });
      publish_file(run_.path() / contract::kLogs / "75_job_post.txt", manifest_text(files));
    });
  }

  RunDirectory run_;
  OrphanGuard guard_;  // before the signal handlers: the guard has none of them
  WaitSignals signals_;
  Heartbeat heartbeat_;
  Estimator estimator_;
  LaunchPlan plan_;
  std::unique_ptr<SlotQueue> queue_;
  std::string launch_note_, finalizing_detail_;
  std::optional<double> deadline_;
  int attempt_ = 0;
  bool manifest_written_ = false;
};

void check_free(const RunDirectory& run) {
  const RunSummary summary = run.summary();
  if (is_terminal(summary.status))
    fail(ErrorKind::usage, "run " + run.id() + " is over: " + std::string(status_name(summary.status)));
  std::error_code ignored;
  if (fs::exists(run.path() / "supervisor.json", ignored))
    fail(ErrorKind::usage, "run " + run.id() + " has, or had, a supervisor already");
}

}  // namespace

void supervise(const fs::path& run_directory) {
  const RunDirectory run = RunDirectory::open(run_directory).value();
  std::optional<Claim> claim = claim_events(run);  // against those who write the end of a run that nobody took up
  check_free(run);
  ::signal(SIGPIPE, SIG_IGN);
  // Processes whose parent ends become our children: they can be waited for, not only killed.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  run.record_supervisor();
  claim.reset();
  Supervisor(run).supervise();
}

}  // namespace lockstep
