// lockstep experiments
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/experiment_record.h"
#include "lockstep/core/nearest_names.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/run_text.h"

namespace lockstep {
namespace {

using Json = nlohmann::ordered_json;

struct ExperimentsOptions {
  bool archived = false;
  bool json = false;
};

constexpr CommandText kText{
    "lockstep experiments [list | show NAME | archive NAME | restore NAME] [options]",
    "Experiments are named sets of runs. An archived one is not listed any more, nor are its runs; nothing is removed.",
    "  lockstep experiments\n"
    "  lockstep experiments archive old_tries\n"
    "  lockstep experiments list --archived"};

Json to_json(const ExperimentRecord& record) {
  Json json{{"name", record.name}, {"archived", record.archived}, {"runs", record.runs}};
  if (record.newest > 0) json["newest"] = record.newest;
  return json;
}

int list(const Workspace& workspace, const ExperimentsOptions& options) {
  std::vector<ExperimentRecord> records = list_experiments(workspace);
  if (!options.archived) std::erase_if(records, [](const auto& record) { return record.archived; });
  if (options.json) {
    Json json = Json::array();
    for (const auto& record : records) json.push_back(to_json(record));
    return print_json(json), 0;
  }
  if (records.empty()) return std::cerr << "no experiments\n", 0;
  Table table({{"EXPERIMENT"}, {"RUNS", true}, {"NEWEST"}, {"STATE"}});
  for (const auto& record : records)
    table.add({record.name, std::to_string(record.runs),
               record.newest > 0 ? format_age(unix_time() - static_cast<double>(record.newest)) : "-",
               record.archived ? "archived" : ""});
  table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
  return 0;
}

int show(const ExperimentRecord& record, bool json) {
  if (json) return print_json(to_json(record)), 0;
  std::cout << "experiment " << record.name << (record.archived ? " (archived)" : "") << "\n  runs    " << record.runs
            << "\n  newest  " << format_time(static_cast<double>(record.newest)) << '\n';
  return 0;
}

}  // namespace

int experiments_command(const Arguments& arguments) {
  ExperimentsOptions options;
  OptionTable<ExperimentsOptions> table;
  table.add("archived", &ExperimentsOptions::archived, "", "list the archived ones too");
  table.add("json", &ExperimentsOptions::json, "", "as JSON, times in seconds since 1970");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 0, 2)) return 0;
  const std::string action = words.empty() ? "list" : words.front();
  const std::vector<std::string> actions{"list", "show", "archive", "restore"};
  if (std::find(actions.begin(), actions.end(), action) == actions.end())
    fail(ErrorKind::usage, "\"" + action + "\" is nothing to do with experiments" + suggestion(action, actions));
  if ((action == "list") != (words.size() < 2))
    fail(ErrorKind::usage, action == "list" ? "list takes no name" : action + " needs the name of an experiment",
         "usage: " + std::string(kText.usage));
  const Workspace workspace = Workspace::from_config().value();
  if (action == "list") return list(workspace, options);
  if (action != "show") set_archived(workspace, words[1], action == "archive");
  return show(find_experiment(workspace, words[1]), options.json);
}

}  // namespace lockstep
