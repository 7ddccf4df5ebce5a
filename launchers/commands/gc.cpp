// lockstep gc
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lockstep/core/lost_run.h"
#include "lockstep/core/run_index.h"
#include "lockstep/core/staged_run.h"
#include "lockstep/launchers/commands/command_line.h"
#include "lockstep/launchers/process_tree.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct GcOptions {
  bool yes = false;
  bool json = false;
};

constexpr CommandText kText{
    "lockstep gc [options]",
    "Tidies the workspace after processes that were killed: removes the folders of runs that were never submitted to "
    "the\n"
    "end, and writes down the end of runs that nobody looks after any more. It says what it would do and does nothing, "
    "unless\n--yes is given. Runs, models and data sets are never removed.",
    "  lockstep gc\n"
    "  lockstep gc --yes"};

}  // namespace

int gc_command(const Arguments& arguments) {
  GcOptions options;
  OptionTable<GcOptions> table;
  table.add("yes", &GcOptions::yes, "", "do it");
  table.add("json", &GcOptions::json, "", "as a JSON object");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 0, 0)) return 0;
  const Workspace workspace = Workspace::from_config().value();
  Json stages = Json::array(), lost = Json::array();
  for (const fs::path& stage : abandoned_stages(workspace))
    if (!options.yes || remove_abandoned(stage)) stages.push_back(stage.string());
  for (const RunSummary& run : query_runs(workspace, {.archived = true})) {
    if (!run.derived_end) continue;
    if (options.yes) {
      sweep_run(run.id);
      end_lost_run(RunDirectory::open(run.directory).value());
    }
    lost.push_back(run.id);
  }
  if (options.json) return print_json(Json{{"done", options.yes}, {"removed", stages}, {"ended", lost}}), 0;
  for (const Json& stage : stages)
    std::cout << (options.yes ? "removed " : "would remove ") << stage.get<std::string>() << '\n';
  for (const Json& run : lost)
    std::cout << (options.yes ? "ended as Failed: " : "would end as Failed: ") << run.get<std::string>() << '\n';
  if (stages.empty() && lost.empty())
    std::cout << "nothing to tidy\n";
  else if (!options.yes)
    std::cout << "nothing was changed; lockstep gc --yes does it\n";
  return 0;
}

}  // namespace lockstep
