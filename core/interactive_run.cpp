#include "lockstep/core/interactive_run.h"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <utility>
#include <vector>

#include "lockstep/core/heartbeat.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/run_state.h"
#include "lockstep/core/staged_run.h"
#include "lockstep/core/words.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;

// How this process was called.
std::string own_command() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  return quote_words(words);
}

RunDirectory make_directory(const Workspace& workspace, const std::string& experiment, std::string_view display_name,
                            std::string_view parent) {
  StagedRun stage(workspace, experiment);
  std::error_code gone;
  ordered_json record{{"format", 1},
                      {"id", stage.run().id()},
                      {"experiment", experiment},
                      {"submitted", unix_time()},
                      {"user", user_name()},
                      {"host", host_name()},
                      {"submit_directory", std::filesystem::current_path(gone).string()},
                      {"command", own_command()},
                      {"target", "interactive"}};
  if (!display_name.empty()) record["display_name"] = display_name;
  if (!parent.empty()) record["parent"] = parent;
  stage.run().write_record(record);
  stage.run().record_supervisor();  // before it is seen: it never was without one
  stage.run().append_event({.status = RunStatus::Running, .attempt = 1, .detail = "logged by the program itself"});
  return stage.publish();
}

EndCause cause_of(const char* reason, std::string message) {
  EndCause cause;
  cause.reason = reason;
  cause.host = host_name();
  cause.message = std::move(message);
  return cause;
}

}  // namespace

InteractiveRun::InteractiveRun(const Workspace& workspace, const std::string& experiment, std::string_view display_name,
                               std::string_view parent)
    : directory_(make_directory(workspace, experiment, display_name, parent)),
      pid_(::getpid()),
      exceptions_(std::uncaught_exceptions()),
      heartbeat_([this] { beat(); }) {}

InteractiveRun::~InteractiveRun() {
  if (pid_ != ::getpid()) {
    heartbeat_.detach();  // it lives in the parent alone
    return;
  }
  const bool unwinding = std::uncaught_exceptions() > exceptions_;
  try {
    if (unwinding)
      end(RunStatus::Failed,
          cause_of("exception", "an exception ended the program's work before complete() was called"));
    else
      end(RunStatus::Completed, cause_of("completed", "the program ended it"));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "lockstep: the end of run %s could not be written: %s\n", directory_.id().c_str(), e.what());
  }
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  heartbeat_.join();
}

void InteractiveRun::beat() try {
  Heartbeat heartbeat(directory_.path());
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, std::chrono::seconds(1), [this] { return ended_; })) heartbeat.beat();
} catch (const std::exception& e) {
  std::fprintf(stderr, "lockstep: run %s gives other hosts no sign of life: %s\n", directory_.id().c_str(), e.what());
}

void InteractiveRun::end(RunStatus status, EndCause cause) {
  const std::lock_guard lock(mutex_);
  if (std::exchange(ended_, true)) return;
  wake_.notify_all();
  if (directory_.is_removed()) return;
  RunEvent event;
  event.status = status;
  event.attempt = 1;
  if (status == RunStatus::Completed && directory_.cancel_requested()) {
    event.status = RunStatus::Canceled;
    cause = cause_of("canceled", "somebody canceled it; the program went on to its end");
  }
  event.detail = cause.message;
  event.cause = std::move(cause);
  directory_.append_event(std::move(event));
}

Run start_interactive_run(const Workspace& workspace, const std::string& experiment, std::string_view display_name,
                          std::string_view parent) {
  auto interactive = std::make_shared<InteractiveRun>(workspace, experiment, display_name, parent);
  Run run = Run::open(interactive->directory());
  return adopt(std::move(run), std::move(interactive));
}

void Run::complete() {
  if (!state_->interactive)
    fail(ErrorKind::usage, "run " + state_->id + " was not begun by this process, so it cannot be ended by it",
         "a submitted run ends with its program; `lockstep cancel` ends it early");
  state_->interactive->end(RunStatus::Completed, cause_of("completed", "the program ended it"));
}

void Run::fail_with(const Error& error) {
  if (!state_->interactive)
    fail(ErrorKind::usage, "run " + state_->id + " was not begun by this process, so it cannot be ended by it",
         "a submitted run fails when its program ends with an exit code other than 0");
  EndCause cause = cause_of("error", (error.where.empty() ? "" : error.where + ": ") + error.what);
  cause.hint = error.hint;
  state_->interactive->end(RunStatus::Failed, std::move(cause));
}

}  // namespace lockstep
