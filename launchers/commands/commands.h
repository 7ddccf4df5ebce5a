// The subcommands of `lockstep`: each takes the words after its name, answers --help itself and returns the exit code.
// Errors leave as Failure; main() prints them and turns them into 2 (usage) or 1.
#pragma once

#include <span>
#include <string>
#include <vector>

namespace lockstep {

using Arguments = std::vector<std::string>;

struct Command {
  const char* name;
  const char* summary;  // one line in `lockstep help`
  const char* group;    // heading there; "" keeps it out of the list (called by Lockstep, not by people)
  int (*run)(const Arguments& arguments);
};

// In the order in which they are shown. The table itself stands in main.cpp.
std::span<const Command> all_commands();

int submit_command(const Arguments& arguments);
int runs_command(const Arguments& arguments);
int show_command(const Arguments& arguments);
int logs_command(const Arguments& arguments);
int metrics_command(const Arguments& arguments);
int cancel_command(const Arguments& arguments);
int workspace_command(const Arguments& arguments);
int experiments_command(const Arguments& arguments);
int download_command(const Arguments& arguments);
int tag_command(const Arguments& arguments);
int gc_command(const Arguments& arguments);
int completion_command(const Arguments& arguments);
int compare_command(const Arguments& arguments);
int tensorboard_command(const Arguments& arguments);
int models_command(const Arguments& arguments);
int env_command(const Arguments& arguments);
int data_command(const Arguments& arguments);
int resume_command(const Arguments& arguments);
int restore_command(const Arguments& arguments);
int supervise_command(const Arguments& arguments);
int version_command(const Arguments& arguments);
int help_command(const Arguments& arguments);

// The overview printed by `lockstep help`, `lockstep --help` and a bare `lockstep`.
std::string overview();

// Runs the program lockstep-NAME found beside `lockstep` or on PATH in place of this process. Returns only when there
// is none: usage error with the nearest names.
int run_companion(const std::string& name, const Arguments& arguments);

}  // namespace lockstep
