#include <unistd.h>

#include <cstdlib>
#include <string>

#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/supervisor.h"

namespace lockstep {
namespace {

struct SuperviseOptions {};

constexpr CommandText kText{"lockstep supervise RUN_DIR",
                            "Watches over the run in RUN_DIR until it has ended. `lockstep submit` starts it in the "
                            "background; there is no need to\n"
                            "call it by hand. SIGTERM cancels the run.",
                            ""};

// A run submitted from inside another one: this process still carries that run's id in its environment, where the end
// of that run would find and kill it. The environment seen by others is the one given at exec, so exec again.
void leave_surrounding_run(const Arguments& arguments) {
  if (!std::getenv(contract::kRunId)) return;
  for (const char* name : {contract::kRunDir, contract::kRunId, contract::kExperiment, contract::kAttempt,
                           contract::kExpectedWorldSize, contract::kResumeFrom, contract::kAzureRunId})
    ::unsetenv(name);
  std::string program = "lockstep", command = "supervise", directory = arguments.front();
  char* const argv[] = {program.data(), command.data(), directory.data(), nullptr};
  ::execv("/proc/self/exe", argv);
  fail_errno("cannot start lockstep again");
}

}  // namespace

int supervise_command(const Arguments& arguments) {
  SuperviseOptions options;
  const OptionTable<SuperviseOptions> table;
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1)) return 0;
  leave_surrounding_run(words);
  supervise(words.front());
  return 0;
}

}  // namespace lockstep
