// lockstep restore
#include <nlohmann/json.hpp>

#include "lockstep/core/snapshot_restore.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/commands/command_line.h"

namespace lockstep {
namespace {

struct RestoreOptions {
  bool json = false;
};

constexpr CommandText kText{"lockstep restore RUN DIRECTORY",
                            "The code of a run as it was submitted, in a directory that is empty or not there yet. The "
                            "digest of every file is\n"
                            "checked. RUN is an id, a unique part of one, or \"latest\".",
                            "  lockstep restore latest ./again"};

}  // namespace

int restore_command(const Arguments& arguments) {
  RestoreOptions options;
  OptionTable<RestoreOptions> table;
  table.add("json", &RestoreOptions::json, "", "as a JSON object");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 2, 2)) return 0;
  const RunDirectory run = run_by_reference(words[0]);
  const std::filesystem::path directory = std::filesystem::absolute(words[1]).lexically_normal();
  const std::size_t files = restore_snapshot(run, directory);
  if (options.json)
    print_json({{"id", run.id()}, {"directory", directory.string()}, {"files", files}});
  else
    std::cout << files << (files == 1 ? " file" : " files") << " of " << run.id() << " in "
              << quote_words({directory.string()}) << '\n';
  return 0;
}

}  // namespace lockstep
