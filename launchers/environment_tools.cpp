// What this machine builds environments with.
#include <sys/utsname.h>

#include <cstdlib>

#include "lockstep/core/process.h"
#include "lockstep/core/python_program.h"
#include "lockstep/launchers/container_command.h"
#include "lockstep/launchers/environment_plan.h"

namespace lockstep {
namespace {

std::string on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  const auto found = find_program(program, path ? path : "/usr/local/bin:/usr/bin:/bin");
  return found ? found->string() : std::string();
}

// Lmod and Environment Modules tell where their program is; older ones have it on PATH.
std::string find_modulecmd() {
  for (const char* name : {"LMOD_CMD", "MODULES_CMD"})
    if (const char* value = std::getenv(name); value && *value) return value;
  return on_path("modulecmd");
}

// "3.6.2" may be there as python3.6; then python3, whatever it is. A shim of a version manager counts only when it
// runs.
void find_base_python(const std::string& wanted, EnvironmentTools& tools) {
  std::vector<std::string> names;
  const std::size_t major = wanted.find('.');
  const std::size_t minor = major == std::string::npos ? major : wanted.find('.', major + 1);
  if (!wanted.empty()) names.push_back("python" + wanted.substr(0, minor));
  for (const char* usual : {"python3", "python"}) names.emplace_back(usual);
  for (const std::string& name : names) {
    const std::string program = on_path(name);
    if (program.empty()) continue;
    const auto facts = inspect_python(program, false);
    if (!facts || facts->version.rfind("3.", 0) != 0) continue;
    tools.python = facts->program;
    tools.python_version = facts->version;
    return;
  }
}

}  // namespace

EnvironmentTools probe_environment_tools(const Environment& environment) {
  EnvironmentTools tools;
  struct utsname system {};
  ::uname(&system);
  tools.architecture = system.machine;
  const PythonDefinition& python = environment.python;
  if (!python.pip.empty() || !python.conda.empty() || !python.version.empty()) {
    find_base_python(python.version, tools);
    tools.conda = find_conda();
  }
  if (!environment.modules.empty()) tools.modulecmd = find_modulecmd();
  if (!environment.image.empty()) tools.container = find_container_program();
  return tools;
}

}  // namespace lockstep
