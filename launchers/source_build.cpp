#include "lockstep/launchers/source_build.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lockstep/core/publish.h"
#include "lockstep/core/sha256.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

// CMake tells its targets in replies to such a file.
constexpr const char* kQuery = "build/.cmake/api/v1/query/codemodel-v2";

Error lacking(std::string what, std::string hint) {
  return {ErrorKind::environment, std::move(what), "entry_script", std::move(hint)};
}

// Text between quotation marks as CMake reads it.
std::string cmake_word(const std::string& text) {
  std::string word;
  for (const char c : text) {
    if (c == '"' || c == '\\' || c == '$' || c == ';') word += '\\';
    word += c;
  }
  return word;
}

// CMakeLists.txt of a single file.
std::string generated(const SourceEntry& entry, const fs::path& directory) {
  std::string text =
      "cmake_minimum_required(VERSION 3.20)\n"
      "project(single LANGUAGES C CXX)\n"
      "set(CMAKE_CXX_STANDARD 20)\n"
      "set(CMAKE_CXX_STANDARD_REQUIRED ON)\n"
      "add_executable(program \"" +
      cmake_word((directory / "source" / entry.file).string()) +
      "\")\n"
      "set_target_properties(program PROPERTIES OUTPUT_NAME \"" +
      cmake_word(entry.name) +
      "\")\n"
      "find_package(Threads REQUIRED)\n"
      "target_link_libraries(program PRIVATE Threads::Threads)\n";
  if (entry.uses_lockstep)
    text +=
        "find_package(lockstep CONFIG REQUIRED)\n"
        "foreach(part IN ITEMS training distributed data models communicator data_files launchers core)\n"
        "  if(TARGET lockstep::${part})\n"
        "    target_link_libraries(program PRIVATE lockstep::${part})\n"
        "  endif()\n"
        "endforeach()\n";
  if (entry.uses_mpi)
    text +=
        "find_package(MPI REQUIRED COMPONENTS CXX)\n"
        "target_link_libraries(program PRIVATE MPI::MPI_CXX)\n";
  if (entry.uses_torch && !entry.uses_lockstep)
    text +=
        "find_package(Torch REQUIRED)\n"
        "target_link_libraries(program PRIVATE ${TORCH_LIBRARIES})\n";
  return text;
}

std::string key(const SourceEntry& entry, const std::string& digest, const Environment& environment,
                const BuildTools& tools) {
  const CMakeDefinition& cmake = environment.cmake;
  const Json parts{{"source", digest},
                   {"folder", entry.folder.string()},
                   {"file", entry.file.string()},
                   {"arguments", cmake.arguments},
                   {"build_type", cmake.build_type},
                   {"target", cmake.target},
                   {"modules", environment.modules},
                   {"cmake", tools.cmake_version},
                   {"generator", tools.generator},
                   {"compiler", tools.compiler},
                   {"compiler_version", tools.compiler_version},
                   {"lockstep", tools.lockstep_package}};
  return "src-" + sha256(parts.dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, 16);
}

struct Executable {
  std::string target;
  fs::path path;
};

std::vector<Executable> executables_of(const fs::path& build) {
  const fs::path reply = build / ".cmake/api/v1/reply";
  fs::path index;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(reply, error)) {
    const fs::path name = entry.path().filename();
    if (name.string().rfind("index-", 0) == 0 && name > index.filename()) index = entry.path();  // the newest
  }
  if (index.empty()) fail(ErrorKind::environment, "CMake did not tell what it builds", "CMake 3.14 or newer does");
  std::vector<Executable> found;
  const Json model = Json::parse(read_file(index));
  const Json code =
      Json::parse(read_file(reply / model.at("reply").at("codemodel-v2").at("jsonFile").get<std::string>()));
  for (const Json& entry : code.at("configurations").at(0).at("targets")) {
    const Json target = Json::parse(read_file(reply / entry.at("jsonFile").get<std::string>()));
    if (target.at("type") != "EXECUTABLE") continue;
    for (const Json& artifact : target.value("artifacts", Json::array()))
      found.push_back({target.at("name").get<std::string>(), build / artifact.at("path").get<std::string>()});
  }
  // Of a --target only that one was built.
  std::erase_if(found, [](const Executable& executable) { return !fs::exists(executable.path); });
  return found;
}

Executable chosen(const std::vector<Executable>& found, const SourceBuildPlan& plan) {
  const auto named = [&](const std::string& name) {
    return std::find_if(found.begin(), found.end(), [&](const Executable& e) { return e.target == name; });
  };
  if (const auto it = named(plan.target); it != found.end()) return *it;
  if (plan.target.empty() && found.size() == 1) return found.front();
  if (const auto it = named(plan.project); plan.target.empty() && it != found.end()) return *it;
  std::string names;
  for (const Executable& executable : found) names += (names.empty() ? "" : ", ") + executable.target;
  if (found.empty())
    fail(ErrorKind::usage, "the source tree builds no executable", "add one by add_executable in its CMakeLists.txt");
  fail(ErrorKind::usage,
       plan.target.empty() ? "the source tree builds several executables: " + names
                           : "the source tree builds no executable \"" + plan.target + "\"; known are " + names,
       "say which one by an environment: lockstep env create NAME --cmake-target TARGET");
}

}  // namespace

Result<SourceBuildPlan> plan_source_build(const SourceEntry& entry, const std::string& snapshot_digest,
                                          const Environment& environment, const BuildTools& tools,
                                          const fs::path& root) {
  const std::string what = entry.file.empty() ? entry.folder.string() : entry.file.string();
  if (tools.cmake.empty())
    return lacking("entry_script " + what + " is C++ source, and there is no cmake on PATH to build it with",
                   "install cmake, or load its module");
  if (tools.compiler.empty())
    return lacking("entry_script " + what +
                       " is C++ source, and there is no C++ compiler: CXX is not set, and c++ is "
                       "not on PATH",
                   "install one (Debian: apt-get install g++), or load its module");
  if (tools.generator.empty())
    return lacking("entry_script " + what + " is C++ source, and neither ninja nor make is on PATH",
                   "install one of them (Debian: apt-get install ninja-build)");
  SourceBuildPlan plan;
  const std::string name = key(entry, snapshot_digest, environment, tools);
  const fs::path directory = root / "environments" / ".built" / name;
  plan.build.directory = directory;
  plan.build.title = what == "." ? "program of the source directory (" + name + ")" : what + " (" + name + ")";
  plan.build.with_source = true;
  plan.build.files[kQuery] = "";
  plan.target = environment.cmake.target;
  plan.project = entry.name;
  plan.source_digest = snapshot_digest;
  plan.program = directory / "run" / (plan.target.empty() ? entry.name : plan.target);
  fs::path source = directory / "source" / entry.folder;
  if (!entry.file.empty()) {
    source = directory / "generated";
    plan.build.files["generated/CMakeLists.txt"] = generated(entry, directory);
  }
  Words configure;
  if (!tools.lockstep_package.empty()) configure = {tools.cmake, "-E", "env", "lockstep_DIR=" + tools.lockstep_package};
  const std::string build = (directory / "build").string();
  configure.insert(configure.end(),
                   {tools.cmake, "-S", source.lexically_normal().string(), "-B", build, "-G", tools.generator,
                    "-DCMAKE_BUILD_TYPE=" + environment.cmake.build_type, "-DCMAKE_CXX_COMPILER=" + tools.compiler});
  configure.insert(configure.end(), environment.cmake.arguments.begin(), environment.cmake.arguments.end());
  plan.build.steps.push_back({"cmake configure", configure, {}});
  Words make{tools.cmake, "--build", build, "--parallel", std::to_string(tools.cores)};
  if (!plan.target.empty()) make.insert(make.end(), {"--target", plan.target});
  plan.build.steps.push_back({"cmake build", make, {}});
  return plan;
}

LaunchPlan with_program(LaunchPlan launch, const SourceBuildPlan& plan) {
  const std::size_t first = launch.launch_argv.size() - launch.rank_argv.size();
  launch.rank_argv.front() = launch.launch_argv[first] = plan.program.string();
  return launch;
}

void link_program(const SourceBuildPlan& plan) try {
  const Executable executable = chosen(executables_of(plan.build.directory / "build"), plan);
  make_directories(plan.program.parent_path());
  fs::create_symlink(executable.path, plan.program);
} catch (const Json::exception& e) {
  fail(ErrorKind::environment, std::string("CMake told in an unknown way what it builds: ") + e.what());
}

Json to_json(const SourceBuildPlan& plan) {
  return {{"build", to_json(plan.build)},
          {"target", plan.target},
          {"project", plan.project},
          {"source_digest", plan.source_digest},
          {"program", plan.program.string()}};
}

SourceBuildPlan source_build_plan_from_json(const Json& json) try {
  SourceBuildPlan plan;
  plan.build = build_plan_from_json(json.at("build"));
  plan.target = json.value("target", "");
  plan.project = json.value("project", "");
  plan.source_digest = json.value("source_digest", "");
  plan.program = json.at("program").get<std::string>();
  return plan;
} catch (const Json::exception& e) {
  fail(ErrorKind::corrupt_data, std::string("not a plan of a build: ") + e.what());
}

}  // namespace lockstep
