// The `lockstep` program: a table of subcommands and the way to one of them.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>

#include "lockstep/core/error.h"
#include "lockstep/launchers/commands/commands.h"
#include "lockstep/launchers/rank_exec.h"

namespace lockstep {
namespace {

const Command kCommands[] = {
    {"submit", "start a training program on many processes, as a run", "Start and end runs", submit_command},
    {"resume", "submit a run again, from its newest checkpoint", "Start and end runs", resume_command},
    {"cancel", "end a run; its outputs are kept", "Start and end runs", cancel_command},
    {"runs", "list runs, newest first", "Look at runs", runs_command},
    {"show", "everything known about a run: status, cause of its end, code, files", "Look at runs", show_command},
    {"logs", "what the ranks of a run print, also while they print it", "Look at runs", logs_command},
    {"metrics", "the metrics a run has logged", "Look at runs", metrics_command},
    {"restore", "the code of a run as it was submitted", "Look at runs", restore_command},
    {"download", "copy files of a run", "Look at runs", download_command},
    {"tag", "set, remove and show a run's tags", "Look at runs", tag_command},
    {"data", "data sets that programs find by name", "Things that runs use", data_command},
    {"compare", "runs side by side: what differs, and their metrics", "Look at runs", compare_command},
    {"tensorboard", "the metrics of runs in TensorBoard", "Look at runs", tensorboard_command},
    {"models", "models that runs have made, by name and version", "Things that runs use", models_command},
    {"env", "environments: the software that runs need, by name and version", "Things that runs use", env_command},
    {"experiments", "named sets of runs: list, archive, restore", "Keep order", experiments_command},
    {"workspace", "where runs are kept: show, create", "Keep order", workspace_command},
    {"gc", "tidy up after processes that were killed", "Keep order", gc_command},
    {"completion", "completion of commands, options and run ids for bash, zsh, fish", "About lockstep",
     completion_command},
    {"version", "version, compiler and source revision", "About lockstep", version_command},
    {"help", "this overview, or the help of one command", "About lockstep", help_command},
    {"run", "the same as runs", "", runs_command},
    {"supervise", "watch over a run until its end (started by submit)", "", supervise_command},
    {"rank-exec", "give a rank its log and its variables, then become its program (started by mpirun)", "",
     rank_exec_command},
};

int dispatch(const Arguments& words) {
  if (words.empty()) {
    std::cerr << overview();
    return 2;
  }
  const std::string& name = words.front();
  const Arguments rest(words.begin() + 1, words.end());
  if (name == "--help" || name == "-h") return help_command(rest);
  if (name == "--version") return version_command(rest);
  for (const Command& command : kCommands)
    if (name == command.name) return command.run(rest);
  return run_companion(name, rest);
}

// A stream that the caller closed (">&-") would else be the next file that is opened: a run's record, for example.
void fill_missing_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) < 0 && errno == EBADF) {
      // The lowest free descriptor is this one. Writing to it fails, as it should.
      if (::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream) return;
    }
}

// What std::cout was given did not all arrive. Said on stderr, unless the reader of a pipe has just gone ("| head").
bool is_output_lost() {
  std::cout.flush();
  if (std::cout) return false;
  const int code = errno;
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  const bool reader_gone = ::poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
  if (!reader_gone)
    std::cerr << "lockstep: the output could not be written"
              << (code != 0 ? std::string(": ") + std::strerror(code) : "") << '\n';
  return !reader_gone;
}

Error explain(const std::exception& e) {
  std::error_code error;
  static_cast<void>(std::filesystem::current_path(error));
  if (dynamic_cast<const std::filesystem::filesystem_error*>(&e) == nullptr || !error) return to_error(e);
  return {ErrorKind::environment, "the current directory does not exist any more", {}, "go to another one: cd"};
}

}  // namespace

std::span<const Command> all_commands() { return kCommands; }

}  // namespace lockstep

int main(int argc, char** argv) {
  lockstep::fill_missing_streams();
  int code = 0;
  try {
    code = lockstep::dispatch({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    const lockstep::Error error = lockstep::explain(e);
    std::cerr << "lockstep: " << error.message() << '\n';
    code = lockstep::exit_code(error.kind);
  }
  return lockstep::is_output_lost() && code == 0 ? lockstep::exit_code(lockstep::ErrorKind::environment) : code;
}
