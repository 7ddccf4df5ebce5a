// A run that nobody looks after any more: its supervisor, or whoever should have started one, was killed.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "lockstep/core/claim.h"
#include "lockstep/core/run_store.h"

namespace lockstep {

struct Loss {
  std::string why;       // "its supervisor (process 12 on node07) is gone"
  bool can_end = false;  // whoever looked after it is dead for certain: it has failed …
  bool is_over = false;  // … and nobody is about to write that down
  double since = 0;      // the last sign of life, seconds since 1970
};

// Nothing when somebody looks after the run, by supervisor.json {"pid", "host", "start_time"}: on this host the process
// lives; elsewhere control/supervisor_heartbeat is younger than 30 s. Without supervisor.json the program that submits
// ("submitter" of run.json) must live, for 30 s at most. is_over: dead on this host, and no sign of life for 5 s (10 s
// without supervisor.json, in which a supervisor that was started may still take the run up): until then the
// supervisor's heir may be at work. On another host death is never certain. record: run.json. The run's last event is
// not looked at.
std::optional<Loss> find_loss(const RunDirectory& run, const nlohmann::ordered_json& record);

// Whether waiting for the end of a run is over: it has one, or nobody on this host can tell (NotResponding for good).
bool is_settled(const RunDirectory& run, const RunSummary& summary);

// The cause of the end of such a run: reason "lost".
EndCause lost_cause(const std::string& why);

// Who appends to events.jsonl in place of a dead supervisor, and a supervisor that takes a run up, hold this claim
// meanwhile. Failure(environment) when another process has held it for 30 s.
Claim claim_events(const RunDirectory& run);

// Writes the end of a lost run down. False: it has an end already, is not over for certain, or was removed. Failure
// (environment) when it cannot be written.
bool end_lost_run(const RunDirectory& run);

// The same for the supervisor's heir, who knows that it is dead.
bool end_as_heir(const RunDirectory& run, const std::string& why);

}  // namespace lockstep
