// lockstep-data, typed as `lockstep data …`: imports, fetches, registers, lists and verifies data sets.
#include <cerrno>
#include <csignal>
#include <exception>
#include <iostream>
#include <system_error>

#include "lockstep/core/nearest_names.h"
#include "lockstep/data/program/commands.h"
#include "lockstep/data/progress.h"

namespace lockstep {
namespace {

struct Command {
  std::string name, summary;
  int (*run)(const Arguments&);
};

const std::vector<Command> kCommands{
    {"fetch", "get a published data set by its name: cifar10, mnist, fashion-mnist", fetch_command},
    {"import", "turn CIFAR-10 or IDX files into a data set", import_command},
    {"register", "give a data set file or folder a name in this workspace", register_command},
    {"list", "the registered data sets", list_command},
    {"show", "what is in a data set", show_command},
    {"verify", "whether a data set still is what was written", verify_command}};

void print_overview(std::ostream& out) {
  out << "Usage: lockstep data COMMAND …\n\n"
         "Data sets for lockstep-train: one HDF5 file each, found by name in the workspace.\n\n";
  for (const Command& command : kCommands)
    out << "  " << command.name << std::string(10 - command.name.size(), ' ') << command.summary << '\n';
  out << "\nExamples:\n"
         "  lockstep data fetch fashion-mnist\n"
         "  lockstep-train --data fashion-mnist\n\n"
         "`lockstep data COMMAND --help` tells more.\n";
}

int dispatch(const Arguments& words) {
  if (words.empty()) return print_overview(std::cerr), 2;
  if (words.front() == "--help" || words.front() == "-h" || words.front() == "help")
    return print_overview(std::cout), 0;
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (command.name == words.front()) return command.run({words.begin() + 1, words.end()});
    names.push_back(command.name);
  }
  fail(ErrorKind::usage, "there is no command 'data " + words.front() + "'" + suggestion(words.front(), names),
       "lockstep data --help");
}

// The exit code, when all that was printed has reached its reader; errors of a closed pipe stay quiet.
int after_output(int code) {
  if (std::cout) errno = 0;  // else longer output has failed before: the reason is still there
  std::cout.flush();
  if (std::cout || errno == EPIPE) return code;
  const std::string why = errno == 0 ? "" : ": " + std::generic_category().message(errno);
  std::cerr << "lockstep data: the output cannot be written" << why << '\n';
  return code == 0 ? 1 : code;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  lockstep::Progress::end_on_signals();
  try {
    return lockstep::after_output(lockstep::dispatch({argv + 1, argv + argc}));
  } catch (const std::exception& e) {
    const lockstep::Error error = lockstep::to_error(e);
    std::cerr << "lockstep data: " << error.message() << '\n';
    return lockstep::exit_code(error.kind);
  }
}
