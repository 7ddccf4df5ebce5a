// One attempt watched from its start to its end, and what follows from the end.
#pragma once

#include <functional>
#include <optional>

#include "lockstep/core/process.h"
#include "lockstep/core/run_store.h"
#include "lockstep/launchers/local_launcher.h"
#include "lockstep/launchers/wait_signals.h"

namespace lockstep {

// Why the supervisor ended an attempt that would have gone on.
enum class StopReason { none, canceled, time_limit, peer_failed };

struct AttemptEnd {
  ExitStatus status;  // of the launcher
  StopReason stop = StopReason::none;
};

struct WatchLimits {
  double grace_seconds = 2;        // between SIGTERM and SIGKILL
  double linger_seconds = 3;       // how long ranks may go on after one of them has reported its failure
  std::optional<double> deadline;  // unix time at which the run's duration is used up
};

struct WatchCallbacks {
  std::function<void(const std::string& detail)> on_running;  // once, when work began
  std::function<void()> on_canceling;                         // before the first signal
  std::function<void()> on_tick;                              // several times a second
};

// Blocks until the launcher has ended. Work has begun when rank 0 left attempts/NNN/started; a program that knows
// nothing of Lockstep has begun with the first byte of rank 0's log, or when it has run for 1 s. A launcher that ended
// with 0 or left output did begin, however short it was.
AttemptEnd watch_attempt(const RunDirectory& run, const Launch& launch, const WatchLimits& limits, WaitSignals& signals,
                         const WatchCallbacks& callbacks);

enum class NextMove { complete, fail, cancel, retry, requeue };

// Pure. exit_code: the program's, as find_cause tells it. failures: attempts that failed before this one.
NextMove next_move(const AttemptEnd& end, int exit_code, int failures, int max_restarts);

// 1, 2, 4, … seconds, at most 30. failures: 1 for the first.
double back_off_seconds(int failures);

// Whether someone asked for the end of the run: control/cancel, a signal to the supervisor, or its directory is
// removed.
bool wants_cancel(const RunDirectory& run, const WaitSignals& signals);

}  // namespace lockstep
