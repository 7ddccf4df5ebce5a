// lockstep runs
#include <strings.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/nearest_names.h"
#include "lockstep/core/option_checks.h"
#include "lockstep/core/run_condition.h"
#include "lockstep/core/run_index.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/run_text.h"
#include "lockstep/launchers/run_values.h"
#include "lockstep/launchers/table.h"

namespace lockstep {
namespace {

struct RunsOptions {
  std::string experiment;
  std::string status;
  std::vector<std::string> tag;
  std::string since, where, parent, sort = "submitted";
  int limit = 0;
  bool archived = false;
  bool json = false;
};

constexpr CommandText kText{
    "lockstep runs [options]",
    "Lists the runs of this workspace, newest first.\n\n"
    "A condition compares status, experiment, id, target, command, parent, ranks, duration (seconds), tags.NAME,\n"
    "properties.NAME, params.NAME (script parameters, without their dashes) and metrics.NAME (the last value) by\n"
    "= != < <= > >= and ~ (contains), joined by and, or, not and ( ).",
    "  lockstep runs --limit 10\n"
    "  lockstep runs --experiment cifar --status failed --since 2d\n"
    "  lockstep runs --tag team=vision --sort metrics.val_loss\n"
    "  lockstep runs --where 'params.lr < 0.01 and metrics.accuracy > 0.6'\n"
    "  lockstep runs --json | jq '.[0].id'"};

OptionTable<RunsOptions> runs_options() {
  OptionTable<RunsOptions> table;
  table.add("experiment", &RunsOptions::experiment, "NAME", "only runs of this experiment");
  table.add("status", &RunsOptions::status, "STATUS", "only runs in this status: running, failed, completed, ...");
  table.add("tag", &RunsOptions::tag, "KEY[=VALUE]", "only runs with this tag, of this value");
  table.add("since", &RunsOptions::since, "TIME", "only runs submitted since: 90m, 12h, 2d, 3w ago, or 2026-03-01");
  table.add("where", &RunsOptions::where, "CONDITION", "only runs for which it holds");
  table.add("parent", &RunsOptions::parent, "RUN", "only its child runs");
  table.add("sort", &RunsOptions::sort, "KEY",
            "what a condition can compare, the largest first; KEY+ the smallest. Runs without it come last");
  table.add("limit", &RunsOptions::limit, "N", "at most so many; 0: all", at_least(0));
  table.add("archived", &RunsOptions::archived, "", "runs of archived experiments too");
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

bool has_tag(const RunSummary& run, const std::string& wanted) {
  const std::size_t equals = wanted.find('=');
  const auto tag = run.tags.find(wanted.substr(0, equals));
  return tag != run.tags.end() && (equals == std::string::npos || tag->second == wanted.substr(equals + 1));
}

std::vector<RunSummary> chosen_runs(const RunsOptions& options, std::vector<std::string>& warnings) {
  const Workspace workspace = Workspace::from_config().value();
  std::optional<RunCondition> condition;
  if (!options.where.empty()) condition = RunCondition::parse(options.where);
  std::optional<RunOrder> order;
  if (options.sort != "submitted") order = RunOrder(options.sort);

  RunQuery query{.experiment = options.experiment, .archived = options.archived || !options.parent.empty()};
  query.tags = !options.tag.empty();
  const bool filtered =
      !options.status.empty() || !options.since.empty() || !options.parent.empty() || query.tags || condition || order;
  if (!filtered) query.newest = static_cast<std::size_t>(options.limit);
  std::vector<RunSummary> runs = query_runs(workspace, query, &warnings);

  if (!options.status.empty())
    std::erase_if(runs, [wanted = status_by_name(options.status)](const auto& run) { return run.status != wanted; });
  if (!options.since.empty())
    std::erase_if(runs,
                  [since = parse_since(options.since, unix_time())](const auto& run) { return run.submitted < since; });
  if (!options.parent.empty())
    std::erase_if(
        runs, [id = find_run(workspace, options.parent).value().id()](const auto& run) { return run.parent != id; });
  for (const std::string& tag : options.tag) std::erase_if(runs, [&](const auto& run) { return !has_tag(run, tag); });
  if (condition) {
    for (const std::string& key : condition->keys()) check_run_key(key);
    std::erase_if(runs, [&](const RunSummary& run) {
      RunValues values(run);
      return !condition->holds([&](const std::string& key) { return values.get(key); });
    });
  }
  if (order) order->sort(runs);
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
    std::cerr << "no runs" << (arguments.empty() ? " yet" : " match") << '\n';
  } else {
    print_table(runs);
  }
  for (const std::string& warning : warnings) std::cerr << "warning: " << warning << '\n';
  return 0;
}

}  // namespace lockstep
