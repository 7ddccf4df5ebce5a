#include "lockstep/core/environment_pieces.h"

#include "lockstep/core/conda_file.h"
#include "lockstep/core/environment_registry.h"
#include "lockstep/core/python_program.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

Error in_field(Error error, const char* field) {
  if (error.where.empty()) error.where = field;
  return error;
}

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// A registered one has no slash and no ending of a file; where both could be meant the registry wins.
Result<Environment> definition_of(const std::string& definition, const fs::path& base, const Workspace* workspace,
                                  std::vector<std::string>* notices) {
  auto registered = find_environment(workspace, definition);
  if (registered) return registered->environment;
  std::error_code error;
  for (const fs::path& file : {base / definition, fs::path(definition)})
    if (fs::exists(file, error)) return read_environment({}, file, notices);
  const bool is_path = definition.find('/') != std::string::npos || fs::path(definition).has_extension();
  if (is_path && definition.find('@') == std::string::npos)
    return Error{ErrorKind::usage,
                 "there is no environment \"" + definition + "\": neither a registered one nor a file",
                 "environment_definition", "`lockstep env list` shows those that are registered"};
  return registered.error();
}

}  // namespace

Result<Environment> read_environment(const std::string& name, const fs::path& file, std::vector<std::string>* notices) {
  std::error_code error;
  if (!fs::exists(file, error)) return Error{ErrorKind::usage, "there is no " + file.string(), {}, {}};
  const auto from_folder = [&](const fs::path& folder) {
    auto environment = Environment::load_from_directory(folder);
    if (environment && !name.empty()) return Result<Environment>(environment->clone(name));
    return environment;
  };
  if (fs::is_directory(file, error)) {
    if (fs::exists(file / "environment.json", error)) return from_folder(file);
    for (const char* yaml : {"environment.yml", "environment.yaml"})
      if (fs::exists(file / yaml, error)) return Environment::from_conda_specification(name, file / yaml, notices);
    return Error{ErrorKind::usage,
                 file.string() + " holds no environment: neither environment.json nor environment.yml",
                 {},
                 {}};
  }
  const std::string ending = file.extension().string();
  if (ending == ".txt" || ending == ".in") return Environment::from_pip_requirements(name, file, notices);
  if (ending == ".yml" || ending == ".yaml") return Environment::from_conda_specification(name, file, notices);
  if (file.filename() == "environment.json") return from_folder(file.parent_path().empty() ? "." : file.parent_path());
  return Error{ErrorKind::usage,
               file.string() + " is no environment that is known by its name",
               {},
               "known are requirements in a .txt, conda's .yml and environment.json"};
}

Result<Environment> assemble_environment(const EnvironmentPieces& pieces, const fs::path& base,
                                         const Workspace* workspace, std::vector<std::string>* notices) {
  Environment environment;
  if (!pieces.definition.empty()) {
    auto definition = definition_of(pieces.definition, base, workspace, notices);
    if (!definition) return in_field(definition.error(), "environment_definition");
    environment = *definition;
  }
  PythonDefinition& python = environment.python;
  if (!pieces.conda_dependencies_file.empty()) {
    auto file = Environment::from_conda_specification({}, base / pieces.conda_dependencies_file, notices);
    if (!file) return in_field(file.error(), "conda_dependencies_file");
    append(python.conda, file->python.conda);
    append(python.pip, file->python.pip);
    append(python.channels, file->python.channels);
    append(environment.variables, file->variables);
    if (!file->python.version.empty()) python.version = file->python.version;
  }
  if (!pieces.pip_requirements_file.empty()) {
    auto file = Environment::from_pip_requirements({}, base / pieces.pip_requirements_file, notices);
    if (!file) return in_field(file.error(), "pip_requirements_file");
    append(python.pip, file->python.pip);
  }
  append(python.pip, pieces.pip_packages);
  CondaFile conda;
  for (const std::string& package : pieces.conda_packages)
    if (const std::string problem = add_conda_package(conda, package); !problem.empty())
      return Error{ErrorKind::usage, "\"" + package + "\" " + problem, "conda_packages", "for example: numpy=1.21"};
  append(python.conda, conda.conda);
  if (!conda.python_version.empty()) python.version = conda.python_version;
  if (notices) append(*notices, conda.notices);
  if (!pieces.python.empty()) {
    const auto found = find_python(pieces.python);
    if (!found) return in_field(found.error(), "python");
    python.interpreter = *found;
  }
  append(environment.modules, pieces.modules);
  if (!pieces.image.empty()) environment.image = pieces.image;
  if (!pieces.shm_size.empty()) environment.shm_size = pieces.shm_size;
  if (const auto errors = validate(environment); !errors.empty()) return errors.front();
  return environment;
}

Result<Environment> environment_of(const Estimator& estimator, const Workspace* workspace,
                                   std::vector<std::string>* notices) {
  EnvironmentPieces pieces{.definition = estimator.environment_definition,
                           .conda_packages = estimator.conda_packages,
                           .pip_packages = estimator.pip_packages,
                           .conda_dependencies_file = estimator.conda_dependencies_file,
                           .pip_requirements_file = estimator.pip_requirements_file,
                           .python = estimator.python,
                           .modules = estimator.modules,
                           .image = estimator.custom_docker_image,
                           .shm_size = estimator.shm_size};
  const auto note = [&](std::string text) {
    if (notices) notices->push_back(std::move(text));
  };
  if (!pieces.shm_size.empty() && pieces.image.empty()) {
    note("shm_size is left out: ranks run in no container and share the machine's /dev/shm");
    pieces.shm_size.clear();
  }
  auto environment = assemble_environment(pieces, estimator.source_directory, workspace, notices);
  if (environment && estimator.use_docker == false && !environment->image.empty()) {
    note("use_docker is false: the image " + environment->image + " of the environment is left out");
    Environment plain = *environment;
    plain.image.clear();
    plain.shm_size.clear();
    return plain;
  }
  return environment;
}

}  // namespace lockstep
