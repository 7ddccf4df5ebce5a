// A run that a program begins and ends itself, without a launcher: that process is its own supervisor.
#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "lockstep/core/run.h"
#include "lockstep/core/run_store.h"

namespace lockstep {

// Running from the start. The destructor ends it: Completed, or Failed while an exception unwinds the stack. A process
// that is killed leaves a run that has failed, as any whose supervisor is gone.
class InteractiveRun {
 public:
  // parent: id of the run that it is a child of, in the same experiment. Throws Failure(environment), Failure(usage)
  // for a bad name of an experiment.
  InteractiveRun(const Workspace& workspace, const std::string& experiment, std::string_view display_name,
                 std::string_view parent);
  ~InteractiveRun();
  InteractiveRun(const InteractiveRun&) = delete;
  InteractiveRun& operator=(const InteractiveRun&) = delete;

  const RunDirectory& directory() const { return directory_; }
  // Nothing for a run that has ended already. Where somebody asked for its end with `lockstep cancel` it is Canceled.
  void end(RunStatus status, EndCause cause);

 private:
  void beat();

  RunDirectory directory_;
  int pid_, exceptions_;  // a forked child ends nothing
  bool ended_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread heartbeat_;
};

// The Run that logs into it.
Run start_interactive_run(const Workspace& workspace, const std::string& experiment, std::string_view display_name = {},
                          std::string_view parent = {});

}  // namespace lockstep
