// The software that a run needs, as it was asked for: plain values with one hash. Equal hashes are one environment,
// which is built once and used by all runs. What is really built from it is decided by the machine
// (launchers/environment_plan.h).
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/options.h"

namespace lockstep {

// Python and its packages. All empty: whatever python3 is on PATH.
struct PythonDefinition {
  std::string interpreter;           // absolute path of a Python that its user looks after: nothing is built
  std::vector<std::string> present;  // "numpy==1.26.4": what that Python held when it was looked at; sorted
  std::string version;               // "3.10", "3.6.2"; "": any
  std::vector<std::string> pip;      // lines of a requirements file
  std::vector<std::string> conda;    // "numpy=1.21", without python and pip
  std::vector<std::string> channels;
};

// How a C++ source tree is built.
struct CMakeDefinition {
  std::vector<std::string> arguments;  // "-DWITH_X=ON"
  std::string build_type = "Release";
  std::string target;  // of several executables this one
};

struct Environment {
  std::string name;         // "": not registered
  int version = 0;          // given by register_environment; 0: none
  std::string description;  // for people; name, version and description are no part of the hash
  PythonDefinition python = {};
  std::vector<std::string> modules = {};  // `module load`, in order
  KeyValues variables = {};               // of the ranks; the estimator's environment_variables win over them
  std::string image;                      // "docker.io/library/python:3.12": ranks run in this container
  std::string shm_size;                   // "2g", of the container
  bool strict = false;                    // what cannot be had exactly as asked for is an error and no notice
  CMakeDefinition cmake = {};

  // Each gives an unregistered environment called `name`. notices: for people, what was left out or assumed.
  // A requirements file as pip reads it; "-r other.txt" is followed below the file's folder.
  static Result<Environment> from_pip_requirements(std::string name, const std::filesystem::path& file,
                                                   std::vector<std::string>* notices = nullptr);
  // An environment.yml of conda (conda_file.h).
  static Result<Environment> from_conda_specification(std::string name, const std::filesystem::path& file,
                                                      std::vector<std::string>* notices = nullptr);
  // A Python that is there: its program, the folder of a virtual or conda environment, or the name of a conda
  // environment. Usage error when there is none, environment error when it does not run: never an empty environment.
  static Result<Environment> from_existing(std::string name, const std::string& where);
  static Result<Environment> from_docker_image(std::string name, const std::string& image);
  // DIRECTORY/environment.json
  static Result<Environment> load_from_directory(const std::filesystem::path& directory);
  void save_to_directory(const std::filesystem::path& directory) const;  // throws Failure(environment)

  Environment clone(std::string new_name) const;
  // The definition's SHA-256, of its canonical form: packages sorted, each blank-free.
  std::string hash() const;
  // Nothing is asked for: ranks run with what the machine has.
  bool is_empty() const;
};

// All that is wrong with the values themselves: names of variables and modules, image, shm_size, contradictions
// (packages for a Python that its user looks after). `where` names the estimator's field.
std::vector<Error> validate(const Environment& environment);

// {"format", "name", "version", "description", "hash", "definition": {…}}. Reading ignores keys it does not know and
// throws Failure(corrupt_data) for what is no environment, Failure(usage) for a newer format.
nlohmann::ordered_json to_json(const Environment& environment);
Environment environment_from_json(const nlohmann::ordered_json& json);

}  // namespace lockstep
