// Starts programs from argv arrays; no shell in between.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct ProcessSpec {
  std::vector<std::string> argv;  // argv[0] is looked up on PATH when it has no slash
  std::optional<std::map<std::string, std::string>> environment = {};  // the whole environment; absent: inherited
  std::filesystem::path directory = {};                                // empty: inherited
  int standard_input = -1, standard_output = -1,
      standard_error = -1;       // descriptors to use; -1: /dev/null for input, inherited for the others
  bool new_session = false;      // setsid: a process group that can be signalled as a whole
  bool die_with_parent = false;  // SIGKILL when the starting *thread* ends (PR_SET_PDEATHSIG)
};

struct ExitStatus {
  int code = 0;    // 128 + signal when a signal ended it
  int signal = 0;  // 0: it exited
};

// Returns the pid. All other descriptors are closed in the child, signals are back to their defaults. Environment error
// when the program cannot be found or started (the reason of exec comes back through a pipe).
// PATH is the child's own where `environment` has one, else the caller's.
Result<pid_t> start_process(const ProcessSpec& spec);

// Blocks (or with poll: returns nothing while it runs). Each child is waited for once.
ExitStatus wait_process(pid_t pid);
std::optional<ExitStatus> poll_process(pid_t pid);

// Runs to the end and captures. limit_bytes: output of each stream beyond it is dropped. timeout_seconds: killed after
// it (with new_session its whole group), signal = SIGKILL. Returns when the process has ended, even where a child of it
// keeps the streams open. standard_output and standard_error of `spec` are not used.
struct Captured {
  ExitStatus status;
  std::string output;  // standard output
  std::string error;   // standard error
};
Result<Captured> capture(ProcessSpec spec, double timeout_seconds = 60, std::size_t limit_bytes = 16 << 20);

// The absolute path of the executable file `program` in the folders of `search_path` ("/usr/bin:/bin"); nothing when
// absent.
std::optional<std::filesystem::path> find_program(std::string_view program, std::string_view search_path);

// When `pid` of this machine was started, in clock ticks since boot: with the pid it names a process for good, as pids
// come again. Nothing when there is no such process, or only its unreaped remains.
std::optional<std::uint64_t> process_start_time(pid_t pid);

// All live processes that `ancestor` started, or that these started (from /proc); without `spared` and what it started.
std::vector<pid_t> descendants_of(pid_t ancestor, pid_t spared = -1);

// The processes that carry NAME=VALUE in their environment (from /proc, of this user): how leftovers of a run are
// found, never by program name.
std::vector<pid_t> processes_with_environment(const std::string& name, const std::string& value);

}  // namespace lockstep
