// execute(): a planned submission becomes a run directory with a supervisor.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "lockstep/core/file_descriptor.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/snapshot_restore.h"
#include "lockstep/core/staged_run.h"
#include "lockstep/core/words.h"
#include "lockstep/launchers/submission.h"
#include "version.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// A secret typed as --environment-variables NAME=VALUE must not be kept either.
std::string command_line_text(std::vector<std::string> words, const KeyValues& variables) {
  for (const auto& [name, value] : variables) {
    if (!is_secret_name(name) || value.empty()) continue;
    for (std::string& word : words)
      if (word.ends_with(name + "=" + value)) word.replace(word.size() - value.size(), value.size(), kRedacted);
  }
  return quote_words(words);
}

Json make_record(const Submission& submission, const RunDirectory& run, const std::vector<std::string>& command_line) {
  std::error_code gone;
  Json record{
      {"format", 1},
      {"id", run.id()},
      {"experiment", run.experiment()},
      {"submitted", unix_time()},
      {"user", user_name()},
      {"host", host_name()},
      {"submitter",
       {{"pid", ::getpid()}, {"host", host_name()}, {"start_time", process_start_time(::getpid()).value_or(0)}}},
      {"lockstep_version", kVersion},
      {"lockstep_source", kSourceRevision},
      {"submit_directory", fs::current_path(gone).string()},
      {"submit_command", command_line_text(command_line, submission.estimator.environment_variables)}};
  record.update(planned_record(submission));
  return record;
}

void write_tags(const RunDirectory& run, const KeyValues& tags) {
  if (tags.empty()) return;
  Json json = Json::object();
  for (const auto& [name, value] : tags) json[name] = value;
  publish_file(run.path() / "tags.json", json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void write_git_properties(const RunDirectory& run, const GitProperties& git) {
  const Json named = azure_git_properties(git);
  publish_file(run.path() / "properties.json", named.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
  if (!git.diff.empty()) publish_file(run.path() / "git_diff.patch", git.diff);
}

// Ranks may write where they run; the snapshot stays as it was taken.
void make_work_directory(const Submission& submission, const Workspace& workspace, const RunDirectory& run,
                         Json record) {
  const fs::path snapshot = run.path() / "snapshot";
  const ObjectStore objects(workspace.root() / "objects");
  const SnapshotPlan taken = take_snapshot(submission.snapshot, snapshot, objects).value();
  record_snapshot(taken, run);
  if (taken.digest != submission.snapshot.digest) {
    record["snapshot"] = snapshot_record(taken);
    run.correct_record(record);
  }
  const fs::path work = run.path() / submission.launch.work_directory;
  copy_snapshot(taken, snapshot, work);
  for (const char* folder : {contract::kOutputs, contract::kLogs})
    fs::create_directory_symlink(fs::path("..") / folder, work / folder);
}

// The last lines of what the supervisor said.
std::string last_words(const fs::path& log) {
  std::string text = read_file(log);
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.size() - std::min<std::size_t>(text.size(), 1000));
}

// From here on the run has somebody to look after it: whoever submitted may go.
void wait_until_taken_up(const RunDirectory& run, pid_t supervisor, const fs::path& log) {
  constexpr std::chrono::seconds kPatience(60);
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!fs::exists(run.path() / "supervisor.json")) {
    const bool ended = poll_process(supervisor).has_value();
    if (ended && !fs::exists(run.path() / "supervisor.json"))
      fail(ErrorKind::environment, "its supervisor ended before it took the run up: " + last_words(log), {},
           log.string());
    if (std::chrono::steady_clock::now() > end) return;  // it lives: readers tell what becomes of it
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void start_supervisor(const Submission& submission, const RunDirectory& run, const LocalMachine& machine) {
  const fs::path log = run.path() / contract::kLogs / "65_job_prep.txt";
  const FileDescriptor output(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!output) fail_errno("cannot create " + log.string());
  ProcessSpec spec;
  spec.argv = {machine.lockstep, "supervise", run.path().string()};
  spec.environment = current_environment();
  // What must not be written down reaches the ranks this way: the launch plan names it, and this process hands it on.
  for (const auto& [name, value] : submission.estimator.environment_variables)
    if (is_secret_name(name)) (*spec.environment)[name] = value;
  spec.directory = run.path();
  spec.standard_output = spec.standard_error = output.get();
  spec.new_session = true;
  wait_until_taken_up(run, start_process(spec).value(), log);
}

// No supervisor will write it.
void mark_failed(const RunDirectory& run, const Error& error) noexcept try {
  EndCause cause;
  cause.reason = "environment";
  cause.host = host_name();
  cause.message = "the run was not started: " + (error.where.empty() ? "" : error.where + ": ") + error.what;
  cause.hint = error.hint;
  RunEvent event;
  event.status = RunStatus::Failed;
  event.detail = cause.message;
  event.cause = std::move(cause);
  run.append_event(std::move(event));
} catch (const std::exception& e) {
  std::fprintf(stderr, "lockstep: run %s could not be marked as Failed: %s\n", run.id().c_str(), e.what());
}

Error environment_error(const std::exception& e) {
  Error error = to_error(e);
  if (dynamic_cast<const fs::filesystem_error*>(&e)) error.kind = ErrorKind::environment;
  return error;
}

RunDirectory make_run(const Submission& submission, const Workspace& workspace,
                      const std::vector<std::string>& command_line) try {
  for (const fs::path& stage : abandoned_stages(workspace, submission.estimator.experiment)) remove_abandoned(stage);
  StagedRun stage(workspace, submission.estimator.experiment);
  const RunDirectory& run = stage.run();
  const Json record = make_record(submission, run, command_line);
  run.write_record(record);
  write_tags(run, submission.estimator.tags);
  if (submission.git) write_git_properties(run, *submission.git);
  make_work_directory(submission, workspace, run, record);
  return stage.publish();
} catch (const std::exception& e) {
  throw Failure(environment_error(e));
}

}  // namespace

RunDirectory execute(const Submission& submission, const Workspace& workspace, const LocalMachine& machine,
                     const std::vector<std::string>& command_line) {
  const RunDirectory run = make_run(submission, workspace, command_line);
  try {
    start_supervisor(submission, run, machine);
  } catch (const std::exception& e) {
    Error error = environment_error(e);
    mark_failed(run, error);
    error.where = "run " + run.id() + (error.where.empty() ? "" : ", " + error.where);
    throw Failure(error);
  }
  return run;
}

}  // namespace lockstep
