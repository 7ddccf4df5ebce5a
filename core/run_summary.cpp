// What listings show, derived from run.json, events.jsonl and whether the supervisor lives.
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr double kSilenceSeconds = 30;

void take_record(RunSummary& summary, const Json& record, const fs::path& path) try {
  summary.submitted = record.value("submitted", 0.0);
  summary.target = record.value("target", "local");
  summary.command = record.value("command", "");
  const Json estimator = record.value("estimator", Json::object());
  summary.node_count = estimator.value("node_count", 1);
  summary.process_count_per_node = estimator.value("process_count_per_node", 1);
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, e.what(), {}, (path / "run.json").string());
}

void take_events(RunSummary& summary, const std::vector<RunEvent>& events) {
  for (const RunEvent& event : events) {
    summary.status = event.status;
    summary.detail = event.detail;
    summary.attempts = std::max(summary.attempts, event.attempt);
    if (event.status == RunStatus::Running && summary.started == 0) summary.started = event.time;
    if (!is_terminal(event.status)) continue;
    summary.ended = event.time;
    summary.cause = event.cause;
  }
}

double age_seconds(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 1e9;
  return unix_time() - static_cast<double>(status.st_mtim.tv_sec) - 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

// "" when all is well, else why nobody looks after the run.
std::string supervisor_trouble(const fs::path& run, double submitted) {
  const fs::path path = run / "supervisor.json";
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return unix_time() - submitted < kSilenceSeconds ? "" : "no supervisor took it up";
  const Json supervisor = Json::parse(read_file(path), nullptr, false);
  if (!supervisor.is_object()) return "its supervisor.json is damaged";
  const std::string host = supervisor.value("host", "");
  const auto pid = supervisor.value("pid", 0);
  if (host == host_name()) {
    const bool lives = process_start_time(pid) == supervisor.value("start_time", std::uint64_t{0});
    return lives ? "" : "its supervisor (process " + std::to_string(pid) + " on " + host + ") is gone";
  }
  const double silence = age_seconds(run / contract::kControl / "supervisor_heartbeat");
  return silence < kSilenceSeconds ? "" : "its supervisor on " + host + " has been silent for more than 30 s";
}

}  // namespace

RunSummary RunDirectory::summary() const {
  RunSummary summary;
  summary.id = id();
  summary.experiment = experiment();
  summary.directory = path_;
  take_record(summary, record(), path_);
  take_events(summary, events());
  if (is_terminal(summary.status)) return summary;
  if (const std::string trouble = supervisor_trouble(path_, summary.submitted); !trouble.empty()) {
    take_events(summary, events());  // it may have written its last event just before it ended
    if (is_terminal(summary.status)) return summary;
    summary.status = RunStatus::NotResponding;
    summary.detail = trouble;
  } else if (cancel_requested()) {
    summary.status = RunStatus::CancelRequested;
  }
  return summary;
}

}  // namespace lockstep
