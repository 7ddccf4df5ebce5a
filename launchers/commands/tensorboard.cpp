// lockstep tensorboard
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/launchers/commands/command_line.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct TensorBoardOptions {
  std::string exported;
  int port = 6006;
  std::string host = "localhost";
};

constexpr CommandText kText{
    "lockstep tensorboard RUN... [options]",
    "Shows the metrics of runs in TensorBoard, also while they are under way: starts it on a folder with a link to the "
    "logs of each\nrun, until Ctrl-C. With --export the event files are copied instead, to be taken elsewhere.",
    "  lockstep tensorboard latest\n"
    "  lockstep tensorboard ab12 cd34 --port 7007\n"
    "  lockstep tensorboard latest --export /tmp/curves"};

// Removed with what is in it; the runs' logs behind the links stay.
struct LinkFolder {
  fs::path path;
  LinkFolder() {
    const char* temporary = std::getenv("TMPDIR");
    std::string pattern = std::string(temporary && *temporary ? temporary : "/tmp") + "/lockstep-tensorboard-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) fail_errno("cannot make " + pattern);
    path = pattern;
  }
  ~LinkFolder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

void export_events(const std::vector<RunDirectory>& runs, const fs::path& directory) {
  std::size_t files = 0;
  for (const RunDirectory& run : runs) {
    const fs::path logs = run.path() / contract::kLogs;
    for (const auto& entry : fs::recursive_directory_iterator(logs)) {
      if (!entry.is_regular_file() || entry.path().filename().string().find("tfevents") == std::string::npos) continue;
      const fs::path target = directory / run.id() / entry.path().lexically_relative(logs);
      make_directories(target.parent_path());
      fs::copy_file(entry.path(), target, fs::copy_options::overwrite_existing);
      ++files;
    }
  }
  std::cout << files << (files == 1 ? " event file" : " event files") << " in " << directory.string()
            << "\n\n  tensorboard --logdir " << directory.string() << '\n';
}

int show(const std::vector<RunDirectory>& runs, const TensorBoardOptions& options) {
  const char* path = std::getenv("PATH");
  const auto program = find_program("tensorboard", path ? path : "");
  if (!program)
    fail(ErrorKind::environment, "TensorBoard is not on PATH",
         "pip install tensorboard; or take the files to where it is: lockstep tensorboard " + runs.front().id() +
             " --export DIR");
  const LinkFolder links;
  for (const RunDirectory& run : runs)
    fs::create_directory_symlink(run.path() / contract::kLogs, links.path / run.id());
  std::cout << "http://" << options.host << ":" << options.port << "/   (Ctrl-C ends it)\n" << std::flush;
  // Ctrl-C reaches both of us: it ends TensorBoard, and we wait for that and clean up.
  const auto old = std::signal(SIGINT, SIG_IGN);
  const auto started = start_process({.argv = {program->string(), "--logdir", links.path.string(), "--port",
                                               std::to_string(options.port), "--host", options.host},
                                      .die_with_parent = true});
  const ExitStatus end = wait_process(started.value());
  std::signal(SIGINT, old);
  return end.signal == SIGINT || end.code == 130 ? 0 : end.code;
}

}  // namespace

int tensorboard_command(const Arguments& arguments) {
  TensorBoardOptions options;
  OptionTable<TensorBoardOptions> table;
  table.add("port", &TensorBoardOptions::port, "N", "where it answers");
  table.add("host", &TensorBoardOptions::host, "NAME", "which address it answers to; localhost is this machine alone");
  table.add("export", &TensorBoardOptions::exported, "DIR", "copy the event files into DIR/RUN and start nothing");
  Arguments words;
  if (!parse_arguments(kText, table, arguments, &options, &words, 1, arguments.size())) return 0;
  std::vector<RunDirectory> runs;
  for (const std::string& word : words) runs.push_back(run_by_reference(word));
  if (options.exported.empty()) return show(runs, options);
  export_events(runs, options.exported);
  return 0;
}

}  // namespace lockstep
