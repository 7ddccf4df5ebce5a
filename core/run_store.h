// Runs as directories: created, followed and found again without any server. One writer per file: run.json by the
// submitting program (once), events.jsonl by the supervisor alone, the rest by the job. Readers derive everything else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

// Azure ML's names and order.
enum class RunStatus {
  NotStarted,
  Starting,
  Provisioning,
  Preparing,
  Queued,
  Running,
  Finalizing,
  CancelRequested,
  Completed,
  Failed,
  Canceled,
  Paused,
  NotResponding,
};
std::string_view status_name(RunStatus status);
std::optional<RunStatus> parse_status(std::string_view name);
bool is_terminal(RunStatus status);  // Completed, Failed, Canceled
// The allowed moves. Before work: NotStarted, Starting, Provisioning, Preparing, Queued, Paused in any order (a further
// attempt comes back here from Running or Finalizing); from there Running or, for a program without a first step,
// Finalizing; Running -> Finalizing or Paused; Completed only from Running, Finalizing and CancelRequested; Failed,
// Canceled and CancelRequested from anywhere; CancelRequested -> Finalizing or terminal only. Each status may follow
// itself (a new detail). NotResponding comes from and goes to any. Nothing follows a terminal status.
bool may_follow(RunStatus from, RunStatus to);

// Why a run ended: part of the one terminal event.
struct EndCause {
  std::string reason;  // "completed", "exit_code", "signal", "canceled", "time_limit", "lost", "environment"
  std::optional<int> exit_code = {};
  std::optional<int> signal = {};
  std::optional<int> rank = {};  // the first rank that failed, where known
  std::string host = {};
  std::string message = {};  // one sentence for people: "rank 1 on node07: data file train.h5 is truncated …"
  std::string hint = {};
  std::vector<std::string> last_lines = {};  // of that rank's log
};

// One line of events.jsonl.
struct RunEvent {
  std::int64_t sequence = 0;                 // 0, 1, 2, …
  double time = 0;                           // seconds since 1970
  RunStatus status = RunStatus::NotStarted;  // after this event
  int attempt = 0;                           // 0 before the first attempt
  std::string detail = {};                   // "waiting for 2 of 2 slots: held by cifar_1700000000_ab12cd34"
  std::optional<EndCause> cause = {};        // on the terminal event, and on each event that ends an attempt
};

// Everything a listing shows; derived from run.json and events.jsonl.
struct RunSummary {
  std::string id;
  std::string experiment;
  std::filesystem::path directory;
  RunStatus status = RunStatus::NotStarted;
  std::string detail;
  std::optional<EndCause> cause;
  int attempts = 0;
  double submitted = 0, started = 0, ended = 0;  // seconds since 1970; 0: not yet
  std::string target;
  int node_count = 1, process_count_per_node = 1;
  std::string command;                      // entry script and parameters, or command, for people
  std::string parent;                       // id of the run that began this one; "": none
  std::map<std::string, std::string> tags;  // only where RunFilter asks for them
  bool derived_end = false;                 // its end stands in no event: whoever should have written it was killed
};

class RunDirectory {
 public:
  // Claims EXPERIMENT_<unix seconds>_<8 hex> by mkdir (tries again on a collision) and makes the folders of
  // run_contract.h with mode 0700. Usage error for a bad experiment name; environment error when not writable.
  static Result<RunDirectory> create(const Workspace& workspace, const std::string& experiment);
  // The same, as EXPERIMENT/.new-ID, which nothing lists or finds. before: called with each path that it is about to
  // make. For StagedRun (staged_run.h).
  static Result<RunDirectory> stage(const Workspace& workspace, const std::string& experiment,
                                    const std::function<void(const std::filesystem::path&)>& before);
  // Gives a staged run its name, in one step: a run is there completely or not at all. Failure(environment).
  RunDirectory publish() const;
  // An existing run directory. Usage error when it has no run.json, environment error when that cannot be told.
  static Result<RunDirectory> open(const std::filesystem::path& directory);

  const std::filesystem::path& path() const { return path_; }
  std::string id() const;
  std::string experiment() const;
  std::filesystem::path attempt_directory(int attempt) const;  // attempts/001

  // run.json, exactly once (usage error the second time).
  void write_record(const nlohmann::ordered_json& record) const;
  // Replaces it, by the submitting program before any supervisor reads it: the snapshot is not what was planned.
  void correct_record(const nlohmann::ordered_json& record) const;
  nlohmann::ordered_json record() const;  // throws Failure(corrupt_data) naming the file

  // Supervisor only. One O_APPEND write of one line, then fsync; sequence and time are filled in.
  // Throws Failure(internal) for a move that may_follow forbids, and after a terminal event.
  void append_event(RunEvent event) const;
  // Complete lines only; a torn last line is skipped, a damaged one in the middle throws Failure(corrupt_data).
  std::vector<RunEvent> events() const;

  // Supervisor only, before its first event: supervisor.json with this process' pid, host and start time, by which
  // readers know whether it lives. Elsewhere they go by the age of control/supervisor_heartbeat: touch it every few
  // seconds.
  void record_supervisor() const;

  // Status from events.jsonl; CancelRequested as soon as control/cancel is there; what a run is whose supervisor is
  // gone, find_loss() of lost_run.h tells: NotResponding, and a few seconds later Failed with the reason "lost"
  // (derived_end), unless the supervisor's heir has written that down. Throws Failure(corrupt_data) for a damaged
  // run.json or events.jsonl.
  RunSummary summary() const;

  // control/cancel: who asked, when. Idempotent.
  void request_cancel(const std::string& who) const;
  bool cancel_requested() const;
  // run.json is gone for good (and not only unreadable for the moment): someone removed the run.
  bool is_removed() const;

 private:
  explicit RunDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// For --json and for files. Times in seconds since 1970; what is unknown is left out. Parsing throws
// Failure(corrupt_data).
nlohmann::ordered_json to_json(const EndCause& cause);
nlohmann::ordered_json to_json(const RunEvent& event);
nlohmann::ordered_json to_json(const RunSummary& summary);
RunEvent run_event_from_json(const nlohmann::ordered_json& json);
EndCause end_cause_from_json(const nlohmann::ordered_json& json);

// Seconds since 1970, now.
double unix_time();

// All runs, newest first; `experiment` empty: of every experiment. Unreadable directories become a line in `warnings`.
// More of it, and how it is made fast: run_index.h.
std::vector<RunSummary> list_runs(const Workspace& workspace, std::string_view experiment = {},
                                  std::vector<std::string>* warnings = nullptr);

// The folders below `path` whose names do not begin with a dot; what cannot be read becomes a line in `warnings`.
std::vector<std::filesystem::path> folders_of(const std::filesystem::path& path, std::vector<std::string>* warnings);

// The seconds in EXPERIMENT_<unix seconds>_<8 hex>; an experiment's name may hold underscores too.
std::string_view seconds_in_id(std::string_view id);

// A run by id, by a unique part of its id, or "latest". Usage error with candidates when unknown or ambiguous.
Result<RunDirectory> find_run(const Workspace& workspace, std::string_view reference);

}  // namespace lockstep
