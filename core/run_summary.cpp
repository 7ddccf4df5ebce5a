// What listings show, derived from run.json, events.jsonl and whether the supervisor lives.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/lost_run.h"
#include "lockstep/core/run_store.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void take_record(RunSummary& summary, const Json& record, const fs::path& path) try {
  summary.submitted = record.value("submitted", 0.0);
  summary.target = record.value("target", "local");
  summary.command = record.value("command", "");
  summary.parent = record.value("parent", "");
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

}  // namespace

RunSummary RunDirectory::summary() const {
  RunSummary summary;
  summary.id = id();
  summary.experiment = experiment();
  summary.directory = path_;
  const Json run = record();
  take_record(summary, run, path_);
  take_events(summary, events());
  if (is_terminal(summary.status)) return summary;
  if (const auto loss = find_loss(*this, run)) {
    take_events(summary, events());  // the last event may have been written just before its writer ended
    if (is_terminal(summary.status)) return summary;
    summary.status = loss->is_over ? RunStatus::Failed : RunStatus::NotResponding;
    summary.detail = loss->why;
    if (!loss->is_over) return summary;
    summary.derived_end = true;
    summary.ended = loss->since;
    summary.cause = lost_cause(loss->why);
  } else if (cancel_requested()) {
    summary.status = RunStatus::CancelRequested;
  }
  return summary;
}

}  // namespace lockstep
