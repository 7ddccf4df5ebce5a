// lockstep version, lockstep help, and programs beside lockstep that serve as further commands.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/process.h"
#include "lockstep/launchers/commands/command_line.h"
#include "version.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct VersionOptions {
  bool json = false;
};

constexpr CommandText kVersionText{"lockstep version [options]",
                                   "Prints the version, the compiler and the source revision.",
                                   "  lockstep version --json"};

constexpr const char* kCompanionPrefix = "lockstep-";

std::string companion_path() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  const char* path = std::getenv("PATH");
  return self.parent_path().string() + ":" + (path ? path : "/usr/local/bin:/usr/bin:/bin");
}

// The commands that programs beside this one provide: bin/lockstep-data gives "data".
std::set<std::string> companions_beside() {
  std::set<std::string> names;
  const std::string folder = companion_path().substr(0, companion_path().find(':'));
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.rfind(kCompanionPrefix, 0) == 0 && ::access(entry->path().c_str(), X_OK) == 0)
      names.insert(name.substr(std::string_view(kCompanionPrefix).size()));
  }
  return names;
}

std::string help_line(const std::string& name, const std::string& summary) {
  return "  " + name + std::string(12 - std::min<std::size_t>(name.size(), 11), ' ') + summary + '\n';
}

}  // namespace

std::string overview() {
  std::string text =
      "usage: lockstep COMMAND [words]\n\nRuns training programs on many processes and keeps a record of each run.\n";
  std::string group;
  for (const Command& command : all_commands()) {
    if (*command.group == '\0') continue;
    if (group != command.group) text += "\n" + (group = command.group) + ":\n";
    text += help_line(command.name, command.summary);
  }
  auto companions = companions_beside();
  for (const Command& command : all_commands()) companions.erase(command.name);  // they call the program themselves
  if (!companions.empty()) text += "\nMore programs:\n";
  for (const std::string& name : companions) text += help_line(name, kCompanionPrefix + name);
  return text + "\nlockstep help COMMAND explains one of them. A program lockstep-NAME on PATH is the command NAME.\n";
}

int help_command(const Arguments& arguments) {
  if (arguments.empty() || arguments.front().rfind('-', 0) == 0) {
    std::cout << overview();
    return 0;
  }
  for (const Command& command : all_commands())
    if (arguments.front() == command.name && command.run != help_command) return command.run({"--help"});
  if (arguments.front() == "help") return help_command({});
  return run_companion(arguments.front(), {"--help"});
}

int version_command(const Arguments& arguments) {
  VersionOptions options;
  OptionTable<VersionOptions> table;
  table.add("json", &VersionOptions::json, "", "as a JSON object");
  Arguments words;
  if (!parse_arguments(kVersionText, table, arguments, &options, &words, 0, 0)) return 0;
  if (options.json) {
    print_json({{"version", kVersion}, {"compiler", kCompiler}, {"build", kBuildType}, {"source", kSourceRevision}});
    return 0;
  }
  std::cout << "lockstep " << kVersion << '\n' << kCompiler << ", " << kBuildType << '\n';
  if (*kSourceRevision) std::cout << "source " << kSourceRevision << '\n';
  return 0;
}

int run_companion(const std::string& name, const Arguments& arguments) {
  const auto program = is_valid_name(name) ? find_program(kCompanionPrefix + name, companion_path()) : std::nullopt;
  if (program) {
    std::vector<char*> argv{const_cast<char*>(program->c_str())};
    for (const std::string& word : arguments) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    ::execv(program->c_str(), argv.data());
    fail_errno("cannot start " + program->string());
  }
  std::set<std::string> known = companions_beside();
  for (const Command& command : all_commands())
    if (*command.group != '\0') known.insert(command.name);
  const std::vector<std::string> names(known.begin(), known.end());
  fail(ErrorKind::usage, "there is no command \"" + name + "\"" + suggestion(name, names),
       "lockstep help lists all commands");
}

}  // namespace lockstep
