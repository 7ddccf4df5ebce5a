// A run seen from outside: its status, all that is known about it, its end.
#include <chrono>
#include <ctime>
#include <iostream>
#include <thread>

#include "lockstep/core/log_tail.h"
#include "lockstep/core/lost_run.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_files.h"
#include "lockstep/core/run_state.h"
#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

// "2026-03-01T14:05:09.250Z", as Azure ML writes times.
std::string utc(double seconds) {
  const auto whole = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&whole, &parts);
  char text[40], fraction[8];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>((seconds - static_cast<double>(whole)) * 1000));
  return std::string(text) + fraction;
}

// What stands in a URL as it is; the rest as %XX.
std::string file_url(const fs::path& path) {
  std::string url = "file://";
  for (const char c : path.string()) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("/-_.~").find(c) != std::string_view::npos) {
      url += c;
    } else {
      char escaped[4];
      std::snprintf(escaped, sizeof escaped, "%%%02X", byte);
      url += escaped;
    }
  }
  return url;
}

ordered_json error_of(const EndCause& cause) {
  ordered_json error{{"code", cause.reason}, {"message", cause.message}};
  if (!cause.hint.empty()) error["hint"] = cause.hint;
  if (!cause.last_lines.empty()) error["lastLines"] = cause.last_lines;
  return error;
}

// The logs that a follower shows, one after the other: how the environment was made, then rank 0.
class ShownLogs {
 public:
  explicit ShownLogs(const fs::path& logs)
      : environment_(logs / "20_environment_log.txt"), driver_(logs / "70_driver_log.txt") {}

  bool print_new() {
    bool any = false;
    for (LogTail* tail : {&environment_, &driver_}) {
      const std::string text = tail->read_new();
      any = any || !text.empty();
      std::cout << text;
    }
    if (any) std::cout.flush();
    return any;
  }

 private:
  LogTail environment_, driver_;
};

RunDirectory directory_of(const fs::path& directory, bool offline) {
  if (offline)
    fail(ErrorKind::usage, "an offline run is in no workspace: nobody watches over it",
         "start the program with `lockstep submit`, or begin a run with Experiment::start_logging");
  return RunDirectory::open(directory).value();
}

}  // namespace

RunStatus Run::get_status() const {
  return state_->offline ? RunStatus::Running : directory_of(state_->directory, false).summary().status;
}

ordered_json Run::get_details() const {
  if (state_->offline) return {{"runId", state_->id}, {"status", "Running"}, {"properties", get_properties()}};
  const RunDirectory run = directory_of(state_->directory, false);
  const RunSummary summary = run.summary();
  const ordered_json record = run.record();
  ordered_json details{{"runId", summary.id}, {"target", summary.target}, {"status", status_name(summary.status)}};
  details["startTimeUtc"] = summary.started > 0 ? ordered_json(utc(summary.started)) : ordered_json();
  details["endTimeUtc"] = summary.ended > 0 ? ordered_json(utc(summary.ended)) : ordered_json();
  const bool failed = summary.status == RunStatus::Failed && summary.cause;
  details["error"] = failed ? error_of(*summary.cause) : ordered_json();
  details["warnings"] = record.value("notices", ordered_json::array());
  details["properties"] = get_properties();
  details["inputDatasets"] = record.value("input_datasets", ordered_json::array());
  details["runDefinition"] = record.value("estimator", ordered_json::object());
  details["logFiles"] = ordered_json::object();
  for (const RunFile& file : run_files(run.path()))
    if (file.name.starts_with("logs/")) details["logFiles"][file.name] = file_url(run.path() / file.name);
  return details;
}

std::string Run::get_portal_url() const { return file_url(fs::absolute(state_->directory)); }

RunSummary Run::wait_for_completion(bool show_output, bool raise_on_error) const {
  constexpr auto kLook = std::chrono::milliseconds(100);
  const RunDirectory run = directory_of(state_->directory, state_->offline);
  ShownLogs logs(run.path() / contract::kLogs);
  RunSummary summary = run.summary();
  while (!is_settled(run, summary)) {
    if (!show_output || !logs.print_new()) std::this_thread::sleep_for(kLook);
    summary = run.summary();
  }
  while (show_output && logs.print_new()) {
  }
  if (!raise_on_error || summary.status == RunStatus::Completed) return summary;
  const std::string why = summary.cause ? summary.cause->message : summary.detail;
  fail(ErrorKind::environment, "run " + summary.id + " is " + std::string(status_name(summary.status)) + ": " + why,
       summary.cause ? summary.cause->hint : "");
}

void Run::cancel() { directory_of(state_->directory, state_->offline).request_cancel(user_name() + "@" + host_name()); }

}  // namespace lockstep
