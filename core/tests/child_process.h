// Runs a piece of a test in a process of its own, for what must not happen to the test program: limits, another user.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <functional>
#include <vector>

namespace lockstep {

// What `body` returns (0 to 99), 100 when it throws, -signal when a signal ends it.
inline int wait_for_child(pid_t pid) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return -1000;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

inline pid_t start_child(const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  try {
    ::_exit(body());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "child: %s\n", e.what());
    ::_exit(100);
  }
}

inline int in_child(const std::function<int()>& body) { return wait_for_child(start_child(body)); }

// Runs body(0), …, body(count - 1) at once, let go together; gives what each returned.
inline std::vector<int> in_children(int count, const std::function<int(int)>& body) {
  int gate[2];
  if (::pipe(gate) != 0) return {};
  std::vector<pid_t> pids;
  for (int i = 0; i < count; ++i) {
    pids.push_back(start_child([&, i] {
      ::close(gate[1]);
      char byte = 0;
      (void)!::read(gate[0], &byte, 1);  // returns once the parent closes its end
      return body(i);
    }));
  }
  ::close(gate[1]);
  ::close(gate[0]);
  std::vector<int> results;
  for (const pid_t pid : pids) results.push_back(wait_for_child(pid));
  return results;
}

}  // namespace lockstep
