// lockstep workspace
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lockstep/core/experiment_record.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/launchers/commands/command_line.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct WorkspaceOptions {
  std::string name;
  bool json = false;
};

constexpr CommandText kText{
    "lockstep workspace [show | create [DIRECTORY]] [options]",
    "The workspace is the directory whose .lockstep holds runs, data sets, models and environments. "
    "It is found upward from\nthe current directory; the first submit creates one where there is none.",
    "  lockstep workspace\n"
    "  lockstep workspace create ~/vision --name vision"};

int show(const Workspace& workspace, bool json) {
  const std::vector<ExperimentRecord> experiments = list_experiments(workspace);
  std::size_t runs = 0;
  for (const auto& experiment : experiments) runs += experiment.runs;
  if (json)
    return print_json(Json{{"workspace", workspace.name()},
                           {"directory", workspace.root().parent_path().string()},
                           {"root", workspace.root().string()},
                           {"experiments", experiments.size()},
                           {"runs", runs}}),
           0;
  std::cout << "workspace " << workspace.name() << "\n  directory    " << workspace.root().parent_path().string()
            << "\n  experiments  " << experiments.size() << "\n  runs         " << runs << '\n';
  return 0;
}

}  // namespace

int workspace_command(const Arguments& arguments) {
  WorkspaceOptions options;
  OptionTable<WorkspaceOptions> table;
  table.add("name", &WorkspaceOptions::name, "NAME", "of a new workspace; else that of its directory");
  table.add("json", &WorkspaceOptions::json, "", "as a JSON object");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 0, 2)) return 0;
  const std::string action = words.empty() ? "show" : words.front();
  const std::vector<std::string> actions{"show", "create"};
  if (action == "create") {
    const fs::path directory = words.size() > 1 ? fs::path(words[1]) : fs::current_path();
    if (std::error_code ignored; fs::exists(directory / ".lockstep" / "config.json", ignored))
      fail(ErrorKind::usage, "there is a workspace in " + directory.string() + " already",
           "lockstep workspace, in it, shows it");
    return show(Workspace::create(directory, options.name).value(), options.json);
  }
  if (action != "show")
    fail(ErrorKind::usage, "\"" + action + "\" is nothing to do with a workspace" + suggestion(action, actions));
  if (words.size() > 1) fail(ErrorKind::usage, "one word too many: " + words[1]);
  if (!options.name.empty()) fail(ErrorKind::usage, "--name goes with create: a workspace keeps its name");
  return show(Workspace::from_config().value(), options.json);
}

}  // namespace lockstep
