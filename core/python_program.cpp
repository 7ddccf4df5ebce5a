#include "lockstep/core/python_program.h"

#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr double kPatienceSeconds = 60;

// Runs on every Python from 3.4 on.
constexpr const char* kInspect = R"(
import json, sys
packages = {}
if len(sys.argv) > 1:
    try:
        from importlib import metadata
        packages = dict((d.metadata['Name'], d.version) for d in metadata.distributions() if d.metadata['Name'])
    except ImportError:
        import pkg_resources
        packages = dict((d.project_name, d.version) for d in pkg_resources.working_set)
print(json.dumps({'program': sys.executable, 'version': '%d.%d.%d' % sys.version_info[:3], 'prefix': sys.prefix,
                  'packages': packages}))
)";

std::string search_path() {
  const char* path = std::getenv("PATH");
  return path ? path : "/usr/local/bin:/usr/bin:/bin";
}

std::string python_in(const fs::path& folder) {
  for (const char* name : {"bin/python3", "bin/python"})
    if (::access((folder / name).c_str(), X_OK) == 0) return (folder / name).string();
  return {};
}

// Of `conda env list --json` the environment whose folder has this name; "base" is the one without "/envs/".
Result<std::string> conda_environment(const std::string& name) {
  const std::string conda = find_conda();
  const Error unknown{ErrorKind::usage, "there is no Python \"" + name + "\": no such file or folder", {}, {}};
  if (name.find('/') != std::string::npos) return unknown;
  if (conda.empty())
    return Error{ErrorKind::usage,
                 "there is no Python \"" + name +
                     "\": no such file or folder, and no conda to ask for an environment "
                     "of this name (looked for conda, mamba and micromamba on PATH)",
                 {},
                 "give the path of its python, or of its folder"};
  const auto listed = capture({.argv = {conda, "env", "list", "--json"}, .new_session = true}, kPatienceSeconds);
  if (!listed) return listed.error();
  const Json json = Json::parse(listed->output, nullptr, false);
  if (listed->status.code != 0 || !json.is_object())
    return Error{ErrorKind::environment,
                 conda + " env list failed with exit code " + std::to_string(listed->status.code) + ": " +
                     listed->error.substr(0, 300),
                 {},
                 {}};
  std::string known;
  for (const auto& entry : json.value("envs", Json::array())) {
    const fs::path folder = entry.is_string() ? entry.get<std::string>() : std::string();
    const std::string found = folder.parent_path().filename() == "envs" ? folder.filename().string() : "base";
    if (found == name || folder.filename() == name) return python_in(folder);
    known += (known.empty() ? "" : ", ") + found;
  }
  return Error{ErrorKind::usage,
               "there is no Python \"" + name + "\" and no conda environment of this name; known are " +
                   (known.empty() ? "none" : known),
               {},
               {}};
}

}  // namespace

std::string find_conda() {
  for (const char* name : {"micromamba", "mamba", "conda"})
    if (const auto found = find_program(name, search_path())) return found->string();
  return {};
}

Result<PythonFacts> inspect_python(const std::string& program, bool with_packages,
                                   const std::map<std::string, std::string>& variables) {
  ProcessSpec spec{.argv = {program, "-c", kInspect}, .new_session = true};
  if (with_packages) spec.argv.push_back("packages");
  if (!variables.empty()) spec.environment = variables;
  const auto ran = capture(spec, kPatienceSeconds);
  if (!ran) return ran.error();
  const Json json = Json::parse(ran->output, nullptr, false);
  if (ran->status.code != 0 || !json.is_object() || !json.contains("version")) {
    std::string said = ran->error.substr(0, 500);
    while (!said.empty() && said.back() == '\n') said.pop_back();
    return Error{ErrorKind::environment,
                 program + " does not work as a Python: exit code " + std::to_string(ran->status.code) +
                     (said.empty() ? "" : ": " + said),
                 {},
                 {}};
  }
  PythonFacts facts;
  facts.program = json.value("program", program);
  facts.version = json.value("version", "");
  facts.prefix = json.value("prefix", "");
  facts.packages = json.value("packages", facts.packages);
  return facts;
}

Result<std::string> find_python(const std::string& where) {
  std::error_code error;
  fs::path place = where;
  if (where == "~" || where.starts_with("~/"))
    if (const char* home = std::getenv("HOME"))
      place = fs::path(home) / where.substr(std::min<std::size_t>(2, where.size()));
  if (fs::is_directory(place, error)) {
    const std::string python = python_in(fs::absolute(place).lexically_normal());
    if (!python.empty()) return python;
    return Error{ErrorKind::usage,
                 "there is no Python in " + place.string() + ": neither bin/python3 nor bin/python",
                 {},
                 "python3 -m venv " + place.string() + " makes one"};
  }
  if (fs::exists(place, error)) {
    if (::access(place.c_str(), X_OK) == 0) return fs::absolute(place).lexically_normal().string();
    return Error{ErrorKind::usage, place.string() + " is no program: it is not executable", {}, {}};
  }
  if (where.find('/') == std::string::npos)
    if (const auto found = find_program(where, search_path()); found && where.starts_with("python"))
      return found->string();
  return conda_environment(where);
}

}  // namespace lockstep
