// Waiting that ends at once when a child ends or someone asks to stop.
#pragma once

#include <csignal>

namespace lockstep {

// While it lives, the signals given to it end wait() early. One per process; it restores the earlier handlers when it
// goes. Handlers and a pipe, not pidfd or signalfd: works on the 4.18 kernels of many clusters, and programs started
// meanwhile inherit no blocked signals.
class WaitSignals {
 public:
  // child: SIGCHLD ends a wait. stop: SIGINT and SIGTERM do, and are remembered; SIGHUP is swallowed.
  WaitSignals(bool child, bool stop);
  ~WaitSignals();
  WaitSignals(const WaitSignals&) = delete;
  WaitSignals& operator=(const WaitSignals&) = delete;

  // Until a signal arrives (also one that arrived since the last wait) or `seconds` have passed.
  void wait(double seconds);
  // SIGINT or SIGTERM: 0 when none came.
  int stop_signal() const;

 private:
  void install(int signal);
  struct Earlier {
    int signal;
    struct sigaction action;
  };
  Earlier earlier_[4];
  int earlier_count_ = 0;
};

}  // namespace lockstep
