// An environment made ready for a run's ranks, as its plan says.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "lockstep/launchers/environment_plan.h"

namespace lockstep {

struct PreparedEnvironment {
  std::map<std::string, std::string> variables;  // what the modules set
  // What there really is: {"format", "hash", "name", "version", "definition", "python", "packages", "modules",
  // "variables", "image", "image_digest", "notices", "build"}; what does not apply is left out.
  nlohmann::ordered_json record;
};

// Loads the modules, builds the Python environment or waits for it, and looks what is in it. request.variables: the
// environment to do it in. Nothing when callbacks.wants_stop() ended it. Throws BuildFailure and Failure(environment).
std::optional<PreparedEnvironment> prepare_environment(const EnvironmentPlan& plan, BuildRequest request,
                                                       WaitSignals& signals, BuildCallbacks callbacks);

// What `module load` of these changes: NAME -> new value. variables: the environment to load them in. Environment error
// with what the module command said.
Result<std::map<std::string, std::string>> load_modules(const std::string& modulecmd,
                                                        const std::vector<std::string>& modules,
                                                        const std::map<std::string, std::string>& variables);

}  // namespace lockstep
