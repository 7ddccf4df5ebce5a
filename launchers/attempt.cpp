#include "lockstep/launchers/attempt.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/end_cause.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/launchers/process_tree.h"
#include "lockstep/launchers/rank_exit.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kTickSeconds = 0.1;
constexpr double kSilentStartSeconds = 1;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// By its own report, or by its keeper's.
bool has_failed_rank(const fs::path& attempt_directory) {
  return first_rank_error(attempt_directory) || first_rank_exit(attempt_directory);
}

class Watch {
 public:
  Watch(const RunDirectory& run, const Launch& launch, const WatchLimits& limits, WaitSignals& signals,
        const WatchCallbacks& callbacks)
      : run_(run), launch_(launch), limits_(limits), signals_(signals), callbacks_(callbacks) {}

  AttemptEnd watch() {
    while (true) {
      const auto status = reap_children(launch_.pid);
      look_for_work(status);
      if (status) return {*status, StopReason::none};
      if (const StopReason reason = reason_to_stop(); reason != StopReason::none) return stop(reason);
      callbacks_.on_tick();
      signals_.wait(kTickSeconds);
    }
  }

 private:
  void look_for_work(const std::optional<ExitStatus>& ended) {
    if (running_) return;
    std::error_code error, ignored;
    const std::uintmax_t log_size = fs::file_size(rank_log_path(run_, 0), error);
    std::string detail;
    if (fs::exists(run_.attempt_directory(launch_.attempt) / contract::kStarted, ignored))
      detail = "first step";
    else if (!error && log_size > launch_.rank0_log_offset)
      detail = "first output";
    else if (seconds_since(begin_) > kSilentStartSeconds)
      detail = "processes run";
    else if (ended && ended->code == 0)
      detail = "ran to its end";
    else
      return;
    running_ = true;
    callbacks_.on_running(detail);
  }

  StopReason reason_to_stop() {
    if (wants_cancel(run_, signals_)) return StopReason::canceled;
    if (limits_.deadline && unix_time() > *limits_.deadline) return StopReason::time_limit;
    if (!rank_failed_ && has_failed_rank(run_.attempt_directory(launch_.attempt))) rank_failed_ = Clock::now();
    if (rank_failed_ && seconds_since(*rank_failed_) > limits_.linger_seconds) return StopReason::peer_failed;
    return StopReason::none;
  }

  AttemptEnd stop(StopReason reason) {
    if (reason == StopReason::canceled) callbacks_.on_canceling();
    // Peers of a failed rank had their time already: linger_seconds.
    const double grace = reason == StopReason::peer_failed ? 1 : limits_.grace_seconds;
    return {stop_launcher(launch_.pid, grace, signals_, callbacks_.on_tick), reason};
  }

  const RunDirectory& run_;
  const Launch& launch_;
  const WatchLimits& limits_;
  WaitSignals& signals_;
  const WatchCallbacks& callbacks_;
  const Clock::time_point begin_ = Clock::now();
  bool running_ = false;
  std::optional<Clock::time_point> rank_failed_;
};

}  // namespace

AttemptEnd watch_attempt(const RunDirectory& run, const Launch& launch, const WatchLimits& limits, WaitSignals& signals,
                         const WatchCallbacks& callbacks) {
  return Watch(run, launch, limits, signals, callbacks).watch();
}

NextMove next_move(const AttemptEnd& end, int exit_code, int failures, int max_restarts) {
  if (end.stop == StopReason::canceled) return NextMove::cancel;
  if (end.stop == StopReason::time_limit) return NextMove::fail;
  if (end.stop == StopReason::none && end.status.code == contract::kExitDone) return NextMove::complete;
  if (exit_code == contract::kExitRequeue) return NextMove::requeue;
  if (exit_code == contract::kExitUsage) return NextMove::fail;
  return failures < max_restarts ? NextMove::retry : NextMove::fail;
}

double back_off_seconds(int failures) { return std::min(30.0, std::ldexp(1.0, std::clamp(failures - 1, 0, 10))); }

bool wants_cancel(const RunDirectory& run, const WaitSignals& signals) {
  if (signals.stop_signal() != 0 || run.cancel_requested()) return true;
  if (!run.is_removed()) return false;
  // Whoever removes the directory is in the middle of it: what ranks leave at their end would come in between.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  return run.is_removed();
}

}  // namespace lockstep
