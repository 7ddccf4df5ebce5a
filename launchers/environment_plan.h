// What an environment's definition becomes on this machine: a virtual or conda environment to build, modules to load, a
// container around the ranks. Decided before anything is done.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lockstep/core/environment.h"
#include "lockstep/core/error.h"
#include "lockstep/launchers/launch_plan.h"
#include "lockstep/launchers/shared_build.h"

namespace lockstep {

// What the machine builds environments with; found at the edge, given to the pure planner. "" for what is absent.
struct EnvironmentTools {
  std::string architecture;    // "x86_64"
  std::string python;          // absolute; of the version asked for where there is one, else python3
  std::string python_version;  // of it: "3.11.7"
  std::string conda;           // micromamba, mamba or conda
  std::string modulecmd;       // of Lmod or Environment Modules
  std::string container;       // podman, apptainer, singularity or ch-run
};
// Looks only for what `environment` needs: a submit without packages starts no Python.
EnvironmentTools probe_environment_tools(const Environment& environment);

struct EnvironmentPlan {
  Environment environment;     // as it was asked for
  BuildPlan build;             // of the Python environment; without a directory when none is built
  std::string modulecmd = {};  // loads environment.modules
  std::string python = {};     // what runs a .py; "" as without an environment
  std::string inspected = {};  // the Python whose packages are recorded; "" none
  std::string container = {};  // the program that runs environment.image
  std::map<std::string, std::string> prepended = {};  // PATH
  std::map<std::string, std::string> variables = {};
  std::vector<std::string> notices = {};  // for people: each thing that is not exactly as asked for
  bool needs_preparation() const;         // something is built, loaded or looked at before the ranks start
};

// Pure. root: the workspace's .lockstep, below which environments are built. Without conda its packages come from pip,
// by their names there, and each such substitution is a notice. Environment error naming the tools that are missing;
// the same for a substitution when environment.strict.
Result<EnvironmentPlan> plan_environment(const Environment& environment, const std::filesystem::path& root,
                                         const EnvironmentTools& tools);

// Pure. The launch plan with its ranks in this environment: variables (those that are there win), PATH, the container.
// binds: folders that a container needs besides the run's own.
Result<LaunchPlan> in_environment(LaunchPlan launch, const EnvironmentPlan& plan, bool use_gpu,
                                  const std::vector<std::string>& binds);

// For people and --dry-run: one line or two.
std::string describe(const EnvironmentPlan& plan);

nlohmann::ordered_json to_json(const EnvironmentPlan& plan);
EnvironmentPlan environment_plan_from_json(const nlohmann::ordered_json& json);

}  // namespace lockstep
