// What the supervisor does before a run's ranks can start: its environment, its program.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "lockstep/core/run_store.h"
#include "lockstep/launchers/launch_plan.h"
#include "lockstep/launchers/wait_signals.h"

namespace lockstep {

struct PreparationCallbacks {
  std::function<void(const std::string& detail)> on_detail;
  std::function<void()> on_tick;  // several times a second
  std::function<bool()> wants_stop;
};

// As run.json says in "environment" and "source_build"; a run without them needs nothing, and then no callback is
// called. What is built prints into logs/20_environment_log.txt, what there is afterwards is written to
// environment.json. Variables that modules set are put into `launch`, where they give way to those that are there.
// False: wants_stop() ended it. Throws BuildFailure (shared_build.h) and Failure.
bool prepare_run(const RunDirectory& run, const nlohmann::ordered_json& record, LaunchPlan& launch,
                 WaitSignals& signals, const PreparationCallbacks& callbacks);

}  // namespace lockstep
