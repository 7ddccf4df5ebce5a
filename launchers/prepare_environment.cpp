#include "lockstep/launchers/prepare_environment.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "lockstep/core/process.h"
#include "lockstep/core/python_program.h"
#include "lockstep/core/words.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Variables = std::map<std::string, std::string>;

constexpr double kModulePatienceSeconds = 120;

// The module command answers with lines for a shell. Names of modules are words of their own here and never part of a
// line. What loading prints goes to the error stream: the output is the variables alone.
constexpr const char* kLoad = R"(command=$1; shift
lines=$("$command" bash load "$@") || exit 1
eval "$lines" >&2 || exit 1
exec env -0)";

// bash's own, which say nothing of the modules.
bool is_of_the_shell(const std::string& name) {
  for (const char* own : {"_", "SHLVL", "PWD", "OLDPWD"})
    if (name == own) return true;
  return name.rfind("BASH_", 0) == 0;
}

Variables parse_variables(const std::string& text) {
  Variables variables;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\0', begin), text.size());
    const std::string entry = text.substr(begin, end - begin);
    if (const std::size_t equals = entry.find('='); equals != std::string::npos)
      variables.emplace(entry.substr(0, equals), entry.substr(equals + 1));
    begin = end + 1;
  }
  return variables;
}

void record_packages(const std::string& python, const Variables& variables, Json& record) {
  const PythonFacts facts = inspect_python(python, true, variables).value();
  record["python"] = facts.version;
  record["packages"] = facts.packages;
}

// A Python that its user looks after may have changed since the environment was registered.
std::vector<std::string> changed_packages(const PythonDefinition& python, const Json& packages) {
  std::vector<std::string> changes;
  for (const std::string& line : python.present) {
    const std::size_t equals = line.find("==");
    const std::string name = line.substr(0, equals),
                      version = equals == std::string::npos ? "" : line.substr(equals + 2);
    const std::string now = packages.is_object() ? packages.value(name, "") : "";
    if (now != version) changes.push_back(name + " was " + version + ", is " + (now.empty() ? "gone" : now));
  }
  return changes;
}

std::string image_digest(const EnvironmentPlan& plan) {
  if (fs::path(plan.container).filename() != "podman") return {};
  const auto said =
      capture({.argv = {plan.container, "image", "inspect", "--format", "{{.Digest}}", plan.environment.image},
               .new_session = true},
              30, 4096);
  return said && said->status.code == 0 ? said->output.substr(0, said->output.find('\n')) : std::string();
}

}  // namespace

Result<Variables> load_modules(const std::string& modulecmd, const std::vector<std::string>& modules,
                               const Variables& variables) {
  ProcessSpec spec{.argv = {"bash", "-c", kLoad, "lockstep", modulecmd}, .environment = variables, .new_session = true};
  spec.argv.insert(spec.argv.end(), modules.begin(), modules.end());
  std::string names;
  for (const std::string& module : modules) names += " " + module;
  const auto ran = capture(spec, kModulePatienceSeconds);
  if (!ran) return ran.error();
  if (ran->status.code != 0) {
    std::string said = ran->error.substr(0, 2000);
    while (!said.empty() && said.back() == '\n') said.pop_back();
    return Error{ErrorKind::environment,
                 "module load" + names + " failed" + (said.empty() ? "" : ": " + said),
                 {},
                 "`module avail` shows what there is"};
  }
  Variables changed;
  for (const auto& [name, value] : parse_variables(ran->output)) {
    const auto before = variables.find(name);
    if (!is_of_the_shell(name) && (before == variables.end() || before->second != value)) changed.emplace(name, value);
  }
  return changed;
}

std::optional<PreparedEnvironment> prepare_environment(const EnvironmentPlan& plan, BuildRequest request,
                                                       WaitSignals& signals, BuildCallbacks callbacks) {
  PreparedEnvironment prepared;
  const Environment& environment = plan.environment;
  Json& record = prepared.record = to_json(environment);
  std::vector<std::string> notices = plan.notices;
  for (const std::string& notice : notices) callbacks.on_text("note: " + notice + "\n");
  if (!plan.modulecmd.empty()) {
    prepared.variables = load_modules(plan.modulecmd, environment.modules, request.variables).value();
    for (const auto& [name, value] : prepared.variables) {
      request.variables[name] = value;
      record["variables"][name] = is_secret_name(name) ? kRedacted : value;
    }
    record["modules"] = environment.modules;
    std::string names;
    for (const std::string& module : environment.modules) names += " " + module;
    callbacks.on_text("module load" + names + "\n");
  }
  for (const char* foreign : {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"})
    if (!prepared.variables.contains(foreign)) request.variables.erase(foreign);
  if (!plan.build.directory.empty()) {
    callbacks.on_built = [&](Json& built) {
      if (!plan.inspected.empty()) record_packages(plan.inspected, request.variables, built);
    };
    const auto built = shared_build(plan.build, request, signals, callbacks);
    if (!built) return {};
    for (const char* key : {"python", "packages"})
      if (built->contains(key)) record[key] = built->at(key);
    record["build"] = *built;
    record["build"].erase("packages");
  } else if (!plan.inspected.empty()) {
    record_packages(plan.inspected, request.variables, record);
    for (const std::string& change : changed_packages(environment.python, record["packages"]))
      notices.push_back(plan.inspected + " has changed: " + change);
    callbacks.on_text("as it is: " + plan.inspected + ", Python " + record.value("python", "") + "\n");
  }
  if (!environment.image.empty()) {
    record["image"] = environment.image;
    if (const std::string digest = image_digest(plan); !digest.empty()) record["image_digest"] = digest;
  }
  if (!notices.empty()) record["notices"] = notices;
  return prepared;
}

}  // namespace lockstep
