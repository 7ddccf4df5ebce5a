// The `lockstep` program: a table of subcommands and the way to one of them.
#include <exception>
#include <iostream>

#include "lockstep/core/error.h"
#include "lockstep/launchers/commands/commands.h"
#include "lockstep/launchers/rank_exec.h"

namespace lockstep {
namespace {

const Command kCommands[] = {
    {"submit", "start a training program on many processes, as a run", "Start and end runs", submit_command},
    {"cancel", "end a run; its outputs are kept", "Start and end runs", cancel_command},
    {"runs", "list runs, newest first", "Look at runs", runs_command},
    {"show", "everything known about a run: status, cause of its end, code, files", "Look at runs", show_command},
    {"logs", "what the ranks of a run print, also while they print it", "Look at runs", logs_command},
    {"metrics", "the metrics a run has logged", "Look at runs", metrics_command},
    {"version", "version, compiler and source revision", "About lockstep", version_command},
    {"help", "this overview, or the help of one command", "About lockstep", help_command},
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

}  // namespace

std::span<const Command> all_commands() { return kCommands; }

}  // namespace lockstep

int main(int argc, char** argv) {
  try {
    return lockstep::dispatch({argv + 1, argv + argc});
  } catch (const std::exception& e) {
    const lockstep::Error error = lockstep::to_error(e);
    std::cerr << "lockstep: " << error.message() << '\n';
    return lockstep::exit_code(error.kind);
  }
}
