#include "lockstep/launchers/commands/submit_request.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lockstep/core/publish.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/dry_run.h"
#include "lockstep/launchers/experiment.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/launchers/stage_inputs.h"
#include "lockstep/launchers/submission.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A job file in the source directory goes into the snapshot, with whatever secrets it sets.
std::string secret_note(const std::string& file, const Submission& submission) {
  std::error_code error;
  const fs::path inside = fs::canonical(file, error).lexically_relative(submission.snapshot.source);
  const auto& files = submission.snapshot.files;
  if (error || std::none_of(files.begin(), files.end(), [&](const SnapshotFile& one) { return one.path == inside; }))
    return {};
  Estimator written;
  estimator_options().parse_ini(read_file(file, 1 << 20), file, &written).value();
  const std::string text = read_file(file, 1 << 20);
  for (const auto& [name, value] : written.environment_variables)
    if (is_secret_name(name) && !value.empty() && text.find(value) != std::string::npos)
      return file + " sets " + name + " and is copied into the run's snapshot with its value: write " + name +
             " without a value there and set it where you submit, or leave the file out by a line in " +
             (submission.snapshot.ignore_file.empty() ? ".lockstepignore" : submission.snapshot.ignore_file);
  return {};
}

void print_plan(const Submission& submission, const fs::path& workspace, bool json) {
  // What stage_directory says for a run of this workspace.
  const RankStart rank =
      first_rank(submission, current_environment(), stage_directory(workspace / "runs/experiment/run"));
  if (!json) {
    std::cout << describe(submission) << describe(rank);
    return;
  }
  Json plan = to_json(submission);
  plan["rank_0"] = to_json(rank);
  print_json(plan);
}

Json submitted_json(const RunDirectory& run, const std::vector<std::string>& notices) {
  return {{"id", run.id()}, {"experiment", run.experiment()}, {"directory", run.path().string()}, {"notices", notices}};
}

void print_submitted(const RunDirectory& run, bool wait) {
  std::cout << "run        " << run.id() << "\ndirectory  " << run.path().string() << '\n';
  if (!wait)
    std::cout << "\nTo look further:\n"
              << "  lockstep show " << run.id() << "\n  lockstep logs " << run.id() << " --follow\n  lockstep metrics "
              << run.id() << '\n';
  std::cout << std::flush;
}

int finish(const RunDirectory& run, const SubmitRequest& request, const std::vector<std::string>& notices) {
  const bool wait = request.wait || request.show_output;
  if (!request.json) {
    print_submitted(run, wait);
    if (wait) std::cout << std::endl;
    return wait ? follow_run(run) : 0;
  }
  if (!wait) return print_json(submitted_json(run, notices)), 0;
  const RunSummary end = Run::open(run).wait_for_completion();
  print_json(to_json(end));
  return exit_code_of(end);
}

}  // namespace

SubmitTable::SubmitTable() {
  for (OptionEntry entry : estimator_options().entries()) {
    group(entry.group);
    const auto part = [](void* request) { return &static_cast<SubmitRequest*>(request)->estimator; };
    entry.set = [part, set = entry.set](void* request, const std::string& text) { return set(part(request), text); };
    entry.get = [get = entry.get](const void* request) {
      return get(&static_cast<const SubmitRequest*>(request)->estimator);
    };
    entry.reset = [part, reset = entry.reset](void* request) { reset(part(request)); };
    if (entry.is_key_values) {
      entry.pairs = [pairs = entry.pairs](const void* request) {
        return pairs(&static_cast<const SubmitRequest*>(request)->estimator);
      };
      entry.add_pair = [part, add = entry.add_pair](void* request, const std::string& key, const std::string& value) {
        add(part(request), key, value);
      };
    }
    add_entry(std::move(entry));
  }
  group("Submitting");
  add("dry-run", &SubmitRequest::dry_run, "", "print what would be done, the exact line included, and do nothing");
  add("wait", &SubmitRequest::wait, "",
      "show rank 0's log until the run has ended; the exit code is then the program's");
  add("show-output", &SubmitRequest::show_output, "", "the same as --wait");
  add("json", &SubmitRequest::json, "", "print JSON; with --wait also at the end, in place of the log");
}

int submit(const SubmitRequest& request, const OptionTableBase::Origins& origins, const Arguments& command_line) {
  const LocalMachine machine = probe_local_machine();
  // A dry run leaves nothing behind, not even a workspace.
  const auto existing = Workspace::from_config();
  Submission submission =
      plan_submission(request.estimator, machine, existing ? &existing.value() : nullptr, origins).value();
  if (!request.job_file.empty())
    if (std::string note = secret_note(request.job_file, submission); !note.empty())
      submission.notices.push_back(std::move(note));
  if (!request.json)
    for (const std::string& notice : submission.notices) std::cerr << "note: " << notice << '\n';
  if (request.dry_run) {
    print_plan(submission, existing ? existing->root() : fs::path(), request.json);
    return 0;
  }
  const Workspace workspace = Workspace::find_or_create().value();
  return finish(execute(submission, workspace, machine, command_line), request, submission.notices);
}

}  // namespace lockstep
