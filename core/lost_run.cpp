#include "lockstep/core/lost_run.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr double kSilenceSeconds = 30;
constexpr double kHeirSeconds = 5, kTakeUpSeconds = 10;

// Seconds since 1970; 0 when there is no such file.
double written_at(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return 0;
  return static_cast<double>(status.st_mtim.tv_sec) + 1e-9 * static_cast<double>(status.st_mtim.tv_nsec);
}

struct Process {
  pid_t pid = 0;
  std::string host;
  std::uint64_t start_time = 0;

  bool is_here() const { return host == host_name(); }
  bool lives() const { return process_start_time(pid) == start_time; }
  std::string describe() const { return "process " + std::to_string(pid) + " on " + host; }
};

std::optional<Process> process_from_json(const Json& json) {
  if (!json.is_object()) return {};
  try {
    return Process{json.value("pid", 0), json.value("host", ""), json.value("start_time", std::uint64_t{0})};
  } catch (const Json::exception&) {
    return {};
  }
}

// Before a supervisor has taken the run up.
std::optional<Loss> submitter_loss(const RunDirectory& run, const Json& record) {
  const double since = written_at(run.path() / "run.json");
  const auto submitter = process_from_json(record.value("submitter", Json()));
  if (submitter && submitter->is_here() && !submitter->lives())
    return Loss{"`lockstep submit` (" + submitter->describe() + ") was ended before a supervisor took the run up", true,
                unix_time() - since > kTakeUpSeconds, since};
  const double submitted = record.value("submitted", 0.0);
  if (unix_time() - std::max(submitted, submitter ? since : 0.0) < kSilenceSeconds) return {};
  return Loss{"no supervisor took it up", false, false, submitted};
}

bool has_end(const RunDirectory& run) {
  const auto events = run.events();
  return !events.empty() && is_terminal(events.back().status);
}

bool append_loss(const RunDirectory& run, const std::string& why) {
  const auto events = run.events();
  if (!events.empty() && is_terminal(events.back().status)) return false;
  RunEvent event;
  event.status = RunStatus::Failed;
  event.attempt = events.empty() ? 0 : events.back().attempt;
  event.cause = lost_cause(why);
  event.detail = event.cause->message;
  run.append_event(std::move(event));
  return true;
}

}  // namespace

std::optional<Loss> find_loss(const RunDirectory& run, const Json& record) {
  const fs::path path = run.path() / "supervisor.json";
  const double taken_up = written_at(path);
  if (taken_up == 0) return submitter_loss(run, record);
  const auto supervisor = process_from_json(Json::parse(read_file(path), nullptr, false));
  if (!supervisor) return Loss{"its supervisor.json is damaged", false, false, taken_up};
  const double beat = written_at(run.path() / contract::kControl / "supervisor_heartbeat");
  const double since = std::max({taken_up, beat, written_at(run.path() / "events.jsonl")});
  if (supervisor->is_here()) {
    if (supervisor->lives()) return {};
    return Loss{"its supervisor (" + supervisor->describe() + ") is gone", true, unix_time() - since > kHeirSeconds,
                since};
  }
  if (unix_time() - beat < kSilenceSeconds) return {};
  return Loss{"its supervisor on " + supervisor->host + " has been silent for more than 30 s", false, false, since};
}

bool is_settled(const RunDirectory& run, const RunSummary& summary) {
  if (summary.status != RunStatus::NotResponding) return is_terminal(summary.status);
  const auto loss = find_loss(run, run.record());
  return loss && !loss->can_end;
}

EndCause lost_cause(const std::string& why) {
  EndCause cause;
  cause.reason = "lost";
  cause.host = host_name();
  cause.message = why;
  cause.hint =
      "was it killed by hand, or for want of memory (dmesg tells)? Submit the run again; --resume-from goes on from "
      "its "
      "last checkpoint";
  return cause;
}

Claim claim_events(const RunDirectory& run) {
  return Claim::take(run.path() / contract::kControl / "events.claim", kSilenceSeconds);
}

bool end_lost_run(const RunDirectory& run) {
  if (run.is_removed()) return false;
  const Claim claim = claim_events(run);
  const auto loss = find_loss(run, run.record());
  return loss && loss->is_over && append_loss(run, loss->why);
}

bool end_as_heir(const RunDirectory& run, const std::string& why) {
  if (run.is_removed() || has_end(run)) return false;
  const Claim claim = claim_events(run);
  return append_loss(run, why);
}

}  // namespace lockstep
