// What this machine builds C++ with, and what an estimator's entry_script says is to be built.
#include <cstdlib>
#include <fstream>

#include "lockstep/core/entry_script.h"
#include "lockstep/core/process.h"
#include "lockstep/launchers/source_build.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

std::string on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  const auto found = find_program(program, path ? path : "/usr/local/bin:/usr/bin:/bin");
  return found ? found->string() : std::string();
}

std::string first_line_of(const std::string& program) {
  if (program.empty()) return {};
  const auto said = capture({.argv = {program, "--version"}, .new_session = true}, 30, 4096);
  return said ? said->output.substr(0, said->output.find('\n')) : std::string();
}

// In a build folder it lies above bin/, in an installation in lib/cmake/lockstep.
std::string lockstep_package() {
  const fs::path prefix = program_places().programs.parent_path();
  std::error_code error;
  for (const char* folder : {"", "lib/cmake/lockstep", "lib64/cmake/lockstep", "lib/x86_64-linux-gnu/cmake/lockstep"})
    if (fs::exists(prefix / folder / "lockstepConfig.cmake", error))
      return (prefix / folder).lexically_normal().string();
  return {};
}

void read_includes(const fs::path& file, SourceEntry& entry) {
  std::ifstream text(file);
  for (std::string line; std::getline(text, line);) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line[begin] != '#' || line.find("include") == std::string::npos) continue;
    entry.uses_mpi |= line.find("mpi.h") != std::string::npos;
    entry.uses_lockstep |= line.find("lockstep/") != std::string::npos;
    entry.uses_torch |= line.find("torch/") != std::string::npos;
  }
}

}  // namespace

std::optional<SourceEntry> source_entry(const Estimator& estimator) {
  if (!estimator.command.empty() || estimator.entry_script.empty() || estimator.entry_script.front() == '/') return {};
  const fs::path script = estimator.entry_script;
  SourceEntry entry;
  if (is_cpp_source(script)) {
    entry.folder = script.parent_path();
    entry.file = script;
    entry.name = script.stem().string();
    read_includes(estimator.source_directory / script, entry);
    return entry;
  }
  std::error_code error;
  const fs::path folder = fs::canonical(estimator.source_directory / script, error);
  if (error || !fs::is_directory(folder, error)) return {};
  entry.folder = script;
  entry.name = folder.filename().string();
  return entry;
}

BuildTools probe_build_tools() {
  BuildTools tools;
  tools.cmake = on_path("cmake");
  tools.cmake_version = first_line_of(tools.cmake);
  tools.generator = !on_path("ninja").empty() ? "Ninja" : !on_path("make").empty() ? "Unix Makefiles" : "";
  const char* chosen = std::getenv("CXX");
  tools.compiler = on_path(chosen && *chosen ? chosen : "c++");
  if (tools.compiler.empty()) tools.compiler = on_path("g++");
  tools.compiler_version = first_line_of(tools.compiler);
  tools.lockstep_package = lockstep_package();
  tools.cores = usable_cores();
  return tools;
}

}  // namespace lockstep
