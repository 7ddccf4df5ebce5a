// An environment put together from what people give with a run or with `lockstep env create`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/environment.h"
#include "lockstep/core/error.h"
#include "lockstep/core/estimator.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

struct EnvironmentPieces {
  std::string definition = {};  // NAME[@VERSION] of a registered one, or a file or folder that holds one
  std::vector<std::string> conda_packages = {}, pip_packages = {};
  std::string conda_dependencies_file = {}, pip_requirements_file = {};
  std::string python = {};  // find_python(): used with what it has
  std::vector<std::string> modules = {};
  std::string image = {}, shm_size = {};
};

// base: the folder that relative file names are meant from. workspace: nullptr when there is none yet. notices: for
// people. Errors name the estimator's field in `where`, or the file and line; all is checked as validate(Environment)
// does. Pieces beside a definition are added to it.
Result<Environment> assemble_environment(const EnvironmentPieces& pieces, const std::filesystem::path& base,
                                         const Workspace* workspace, std::vector<std::string>* notices = nullptr);

// The environment that an estimator asks for; empty when it asks for none. It must be sound, its framework's packages
// be among its pip_packages (framework_presets.h). Its environment_variables are its own and no part of it.
Result<Environment> environment_of(const Estimator& estimator, const Workspace* workspace,
                                   std::vector<std::string>* notices = nullptr);

// requirements.txt, environment.yml, environment.json or a folder with one of the last, by its name.
Result<Environment> read_environment(const std::string& name, const std::filesystem::path& file,
                                     std::vector<std::string>* notices = nullptr);

}  // namespace lockstep
