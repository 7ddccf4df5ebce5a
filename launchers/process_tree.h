// Ending all processes of a run: those that the launcher knows and those that nobody knows any more.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "lockstep/core/process.h"
#include "lockstep/launchers/wait_signals.h"

namespace lockstep {

// Reaps every child that has ended: the launcher's status is returned, orphans that this subreaper inherited are
// only buried. Never blocks.
std::optional<ExitStatus> reap_children(pid_t launcher);

// Ends the launcher with its process group: SIGTERM, `grace_seconds` for it to go, SIGKILL. Returns how it ended.
// on_tick is called a few times a second meanwhile (heartbeat).
ExitStatus stop_launcher(pid_t launcher, double grace_seconds, WaitSignals& signals,
                         const std::function<void()>& on_tick);

// SIGKILL to all processes that carry LOCKSTEP_RUN_ID=run_id in their environment, again until none is left or
// limit_seconds have passed: a process may fork while it is looked for. Returns how many it killed.
int sweep_run(const std::string& run_id, double limit_seconds = 2);

// SIGKILL to all descendants of this process but `spared`, again until none is left or limit_seconds have passed; those
// that are its children are reaped. In a subreaper these are also the orphans of its children. Returns how many.
int sweep_descendants(pid_t spared, double limit_seconds = 2);

// A process of its own that ends the run's processes when the supervisor dies without having done so (kill -9, out of
// memory): ranks must not go on unwatched. It lives in its own session and waits on a pipe. Then it calls `heir`, in
// which it does what else the dead one would have done; again every second, for a minute, while that throws.
class OrphanGuard {
 public:
  explicit OrphanGuard(std::string run_id, std::function<void()> heir = {});
  ~OrphanGuard();  // sends the guard home: the run was ended properly
  OrphanGuard(const OrphanGuard&) = delete;
  OrphanGuard& operator=(const OrphanGuard&) = delete;
  pid_t pid() const { return guard_; }

 private:
  pid_t guard_ = -1;
  int pipe_ = -1;
};

}  // namespace lockstep
