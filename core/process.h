// Starts programs from argv arrays; no shell in between.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct ProcessSpec {
  std::vector<std::string> argv;                         // argv[0] is looked up on PATH when it has no slash
  std::optional<std::map<std::string, std::string>> environment;  // the whole environment; absent: inherited
  std::filesystem::path directory;                       // empty: inherited
  int standard_input = -1, standard_output = -1, standard_error = -1;  // descriptors to use; -1: /dev/null for input, inherited for the others
  bool new_session = false;                              // setsid: a process group that can be signalled as a whole
  bool die_with_parent = false;                          // SIGKILL when the starter dies (PR_SET_PDEATHSIG)
};

struct ExitStatus {
  int code = 0;      // 128 + signal when a signal ended it
  int signal = 0;    // 0: it exited
};

// Returns the pid. All other descriptors are closed in the child. Environment error when the program cannot be found or
// started (the reason of exec comes back through a pipe).
Result<pid_t> start_process(const ProcessSpec& spec);

// Blocks (or with poll: returns nothing while it runs).
ExitStatus wait_process(pid_t pid);
std::optional<ExitStatus> poll_process(pid_t pid);

// Runs to the end and captures. limit_bytes: output beyond it is dropped. timeout_seconds: killed after it, signal = SIGKILL.
struct Captured {
  ExitStatus status;
  std::string output;   // standard output
  std::string error;    // standard error
};
Result<Captured> capture(ProcessSpec spec, double timeout_seconds = 60, std::size_t limit_bytes = 16 << 20);

// The processes that carry NAME=VALUE in their environment (from /proc, of this user): how leftovers of a run are found,
// never by program name.
std::vector<pid_t> processes_with_environment(const std::string& name, const std::string& value);

}  // namespace lockstep
