#include "lockstep/launchers/wait_signals.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

// A handler can reach nothing but globals; WaitSignals is their only user.
int wake_pipe[2] = {-1, -1};
volatile std::sig_atomic_t stop_signal_seen = 0;

extern "C" void on_wait_signal(int signal) {
  const int saved = errno;
  if (signal == SIGINT || signal == SIGTERM) stop_signal_seen = signal;
  // A full pipe is as good as a written one: wait() wakes up either way.
  [[maybe_unused]] const auto written = ::write(wake_pipe[1], "!", 1);
  errno = saved;
}

}  // namespace

WaitSignals::WaitSignals(bool child, bool stop) {
  if (wake_pipe[0] >= 0) fail(ErrorKind::internal, "two WaitSignals at once");
  if (::pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK) != 0) fail_errno("cannot make a pipe");
  stop_signal_seen = 0;
  if (child) install(SIGCHLD);
  if (!stop) return;
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) install(signal);
}

WaitSignals::~WaitSignals() {
  for (int i = 0; i < earlier_count_; ++i) ::sigaction(earlier_[i].signal, &earlier_[i].action, nullptr);
  for (int& end : wake_pipe) {
    ::close(end);
    end = -1;
  }
}

void WaitSignals::install(int signal) {
  struct sigaction action {};
  action.sa_handler = on_wait_signal;
  action.sa_flags = SA_RESTART;  // poll() is interrupted nevertheless; reads and writes elsewhere are not
  Earlier& earlier = earlier_[earlier_count_++];
  earlier.signal = signal;
  ::sigaction(signal, &action, &earlier.action);
}

void WaitSignals::wait(double seconds) {
  pollfd end{wake_pipe[0], POLLIN, 0};
  const auto milliseconds = static_cast<int>(std::ceil(std::clamp(seconds, 0.0, 3600.0) * 1000));
  ::poll(&end, 1, milliseconds);
  char drained[64];
  while (::read(wake_pipe[0], drained, sizeof drained) > 0) {
  }
}

int WaitSignals::stop_signal() const { return stop_signal_seen; }

}  // namespace lockstep
