// lockstep runs
#include <strings.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/option_checks.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/run_text.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

struct RunsOptions {
  std::string experiment;
  std::string status;
  int limit = 0;
  bool json = false;
};

constexpr CommandText kText{"lockstep runs [options]", "Lists the runs of this workspace, newest first.",
                            "  lockstep runs --limit 10\n"
                            "  lockstep runs --experiment cifar --status failed\n"
                            "  lockstep runs --json | jq '.[0].id'"};

OptionTable<RunsOptions> runs_options() {
  OptionTable<RunsOptions> table;
  table.add("experiment", &RunsOptions::experiment, "NAME", "only runs of this experiment");
  table.add("status", &RunsOptions::status, "STATUS", "only runs in this status: running, failed, completed, ...");
  table.add("limit", &RunsOptions::limit, "N", "at most so many; 0: all", at_least(0));
  table.add("json", &RunsOptions::json, "", "as a JSON array, times in seconds since 1970");
  return table;
}

RunStatus status_by_name(const std::string& typed) {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(RunStatus::NotResponding); ++i) {
    names.emplace_back(status_name(static_cast<RunStatus>(i)));
    if (::strcasecmp(names.back().c_str(), typed.c_str()) == 0) return static_cast<RunStatus>(i);
  }
  fail(ErrorKind::usage, "\"" + typed + "\" is not a status of a run" + suggestion(typed, names), {}, "--status");
}

std::vector<RunSummary> chosen_runs(const RunsOptions& options, std::vector<std::string>& warnings) {
  std::vector<RunSummary> runs = list_runs(Workspace::from_config().value(), options.experiment, &warnings);
  if (!options.status.empty())
    std::erase_if(runs,
                  [wanted = status_by_name(options.status)](const RunSummary& run) { return run.status != wanted; });
  if (options.limit > 0 && runs.size() > static_cast<std::size_t>(options.limit)) runs.resize(options.limit);
  return runs;
}

void print_table(const std::vector<RunSummary>& runs) {
  Table table({{"RUN"}, {"STATUS"}, {"SUBMITTED"}, {"DURATION", true}, {"RANKS"}, {"TARGET"}, {"COMMAND"}});
  const double now = unix_time();
  for (const RunSummary& run : runs)
    table.add({run.id, status_cell(run.status), format_age(now - run.submitted), duration_text(run, now),
               ranks_text(run), run.target, run.command});
  table.print(std::cout, TerminalStyle::of(STDOUT_FILENO));
}

}  // namespace

int runs_command(const Arguments& arguments) {
  RunsOptions options;
  const auto table = runs_options();
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 0, 0)) return 0;
  std::vector<std::string> warnings;
  const std::vector<RunSummary> runs = chosen_runs(options, warnings);
  if (options.json) {
    auto list = nlohmann::ordered_json::array();
    for (const RunSummary& run : runs) list.push_back(to_json(run));
    print_json(list);
  } else if (runs.empty()) {
    std::cerr << "no runs" << (options.experiment.empty() && options.status.empty() ? " yet" : " match") << '\n';
  } else {
    print_table(runs);
  }
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << '\n';
  return 0;
}

}  // namespace lockstep
