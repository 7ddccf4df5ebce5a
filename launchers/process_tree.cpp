#include "lockstep/launchers/process_tree.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>

#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

constexpr char kGoHome = 'q';

void inherit(const std::function<void()>& heir) {
  constexpr int kTries = 60;
  for (int tries = 0; heir && tries < kTries; ++tries) {
    try {
      return heir();
    } catch (const std::exception&) {  // a full disk, for example: there may be room soon
      std::this_thread::sleep_for(std::chrono::seconds(1));
    }
  }
}

// The guard's whole life. Written end closed without a word: the supervisor is gone.
[[noreturn]] void guard_run(int pipe, const std::string& run_id, const std::function<void()>& heir) {
  ::setsid();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::signal(signal, SIG_IGN);
  char word = 0;
  ssize_t got;
  do got = ::read(pipe, &word, 1);
  while (got < 0 && errno == EINTR);
  if (got != 1 || word != kGoHome) {
    sweep_run(run_id, 10);
    inherit(heir);
  }
  ::_exit(0);
}

}  // namespace

std::optional<ExitStatus> reap_children(pid_t launcher) {
  while (true) {
    siginfo_t ended{};
    // Looks without reaping: the launcher's status belongs to poll_process.
    if (::waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) != 0 || ended.si_pid == 0) return {};
    if (ended.si_pid == launcher) return poll_process(launcher);
    ::waitpid(ended.si_pid, nullptr, WNOHANG);
  }
}

ExitStatus stop_launcher(pid_t launcher, double grace_seconds, WaitSignals& signals,
                         const std::function<void()>& on_tick) {
  const auto begin = Clock::now();
  ::kill(-launcher, SIGTERM);
  bool killed = false;
  while (true) {
    if (const auto status = reap_children(launcher)) return *status;
    const double left = grace_seconds - seconds_since(begin);
    if (left <= 0 && !killed) {
      ::kill(-launcher, SIGKILL);
      killed = true;
    }
    signals.wait(killed ? 0.2 : std::min(left, 0.2));
    on_tick();
  }
}

int sweep_run(const std::string& run_id, double limit_seconds) {
  const auto begin = Clock::now();
  std::set<pid_t> killed;
  // Twice in a row: a process in the middle of an exec shows no environment for a moment.
  for (int empty_passes = 0; empty_passes < 2 && seconds_since(begin) < limit_seconds;) {
    ++empty_passes;
    for (const pid_t pid : processes_with_environment(contract::kRunId, run_id)) {
      if (pid == ::getpid() || ::kill(pid, SIGKILL) != 0) continue;
      killed.insert(pid);
      empty_passes = 0;
    }
    if (empty_passes < 2)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // for the kernel to take them down
  }
  return static_cast<int>(killed.size());
}

int sweep_descendants(pid_t spared, double limit_seconds) {
  const auto begin = Clock::now();
  std::set<pid_t> killed;
  for (bool found = true; found && seconds_since(begin) < limit_seconds;) {
    found = false;
    for (const pid_t pid : descendants_of(::getpid(), spared)) {
      if (::kill(pid, SIGKILL) != 0) continue;
      killed.insert(pid);
      found = true;
    }
    if (found) std::this_thread::sleep_for(std::chrono::milliseconds(20));  // for the kernel to take them down
    for (const pid_t pid : killed) ::waitpid(pid, nullptr, WNOHANG);
  }
  return static_cast<int>(killed.size());
}

OrphanGuard::OrphanGuard(std::string run_id, std::function<void()> heir) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_errno("cannot make a pipe");
  guard_ = ::fork();
  if (guard_ < 0) fail_errno("cannot start a guard process");
  if (guard_ == 0) {
    ::close(ends[1]);
    guard_run(ends[0], run_id, heir);
  }
  ::close(ends[0]);
  pipe_ = ends[1];
}

OrphanGuard::~OrphanGuard() {
  [[maybe_unused]] const auto written = ::write(pipe_, &kGoHome, 1);
  ::close(pipe_);
  ::waitpid(guard_, nullptr, 0);
}

}  // namespace lockstep
