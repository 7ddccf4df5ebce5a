// lockstep download
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lockstep/core/run_files.h"
#include "lockstep/launchers/commands/command_line.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct DownloadOptions {
  fs::path to;
  bool json = false;
};

constexpr CommandText kText{"lockstep download RUN [NAME...] [options]",
                            "Copies files of a run: a file, or all below a folder whose name ends in '/'. Without a "
                            "name all of outputs/, into a "
                            "folder\nnamed after the run. lockstep show RUN lists the names.",
                            "  lockstep download latest\n"
                            "  lockstep download latest outputs/model.pt --to model.pt\n"
                            "  lockstep download latest outputs/checkpoints/ logs/ --to backup"};

}  // namespace

int download_command(const Arguments& arguments) {
  DownloadOptions options;
  OptionTable<DownloadOptions> table;
  table.add("to", &DownloadOptions::to, "PATH", "a folder, or for one file its new name; else the current directory");
  table.add("json", &DownloadOptions::json, "", "the paths that were written, as a JSON array");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, 1000)) return 0;
  const RunDirectory run = run_by_reference(words.front());
  std::vector<fs::path> written;
  const bool all = words.size() == 1;
  const fs::path folder = all && options.to.empty() ? fs::path(run.id()) : options.to;
  if (all) words.push_back("outputs/");
  for (std::size_t i = 1; i < words.size(); ++i) {
    if (!words[i].ends_with('/')) {
      const bool one = words.size() == 2;
      written.push_back(download_file(run.path(), words[i], one || folder.empty() ? folder : folder / ""));
      continue;
    }
    const auto more = download_files(run.path(), words[i], folder, /*append_prefix=*/!all);
    if (more.empty())
      fail(ErrorKind::usage, "run " + run.id() + " has no files below " + words[i],
           "lockstep show " + run.id() + " lists what it has");
    written.insert(written.end(), more.begin(), more.end());
  }
  Json json = Json::array();
  for (const fs::path& path : written) {
    if (options.json)
      json.push_back(path.string());
    else
      std::cout << path.string() << '\n';
  }
  if (options.json) print_json(json);
  return 0;
}

}  // namespace lockstep
