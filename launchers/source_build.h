// A C++ source tree, or a single C++ file, as an entry script: configured and built by CMake, once for all runs of the
// same source.
#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "lockstep/core/environment.h"
#include "lockstep/core/error.h"
#include "lockstep/core/estimator.h"
#include "lockstep/launchers/launch_plan.h"
#include "lockstep/launchers/shared_build.h"

namespace lockstep {

// What is to be built, below the source directory.
struct SourceEntry {
  std::filesystem::path folder;  // that holds CMakeLists.txt, or the file
  std::filesystem::path file;    // "hello.cc" with its folder; empty for a source tree
  std::string name;              // of the program: "hello"
  bool uses_mpi = false;         // a file's #include lines say so
  bool uses_lockstep = false, uses_torch = false;
};

// Nothing when the estimator runs something else. It is resolved already (entry_script.h).
std::optional<SourceEntry> source_entry(const Estimator& estimator);

// What builds it; found at the edge. "" for what is absent.
struct BuildTools {
  std::string cmake, cmake_version;
  std::string generator;         // "Ninja" or "Unix Makefiles"
  std::string compiler;          // CXX, else c++ on PATH
  std::string compiler_version;  // the first line of its --version
  std::string lockstep_package;  // the folder of lockstepConfig.cmake that belongs to this program
  int cores = 1;
};
BuildTools probe_build_tools();

struct SourceBuildPlan {
  BuildPlan build;
  std::string target;             // of several executables the one that is meant; "" when there should be one
  std::string project;            // of several, the one of this name is meant when no target is given
  std::string source_digest;      // the snapshot that it is built from
  std::filesystem::path program;  // what ranks run: a link in the build folder
};

// Pure. root: the workspace's .lockstep. snapshot_digest: of the whole source directory, as a tree may use all of it.
// Environment error naming what is missing: cmake, a compiler, ninja or make.
Result<SourceBuildPlan> plan_source_build(const SourceEntry& entry, const std::string& snapshot_digest,
                                          const Environment& environment, const BuildTools& tools,
                                          const std::filesystem::path& root);

// Pure. The launch plan with the built program in place of the source that stands there.
LaunchPlan with_program(LaunchPlan launch, const SourceBuildPlan& plan);

// Once it is built: finds the executable and makes the link. Failure(usage) when there is none, or when several are
// there and neither target nor project says which.
void link_program(const SourceBuildPlan& plan);

nlohmann::ordered_json to_json(const SourceBuildPlan& plan);
SourceBuildPlan source_build_plan_from_json(const nlohmann::ordered_json& json);

}  // namespace lockstep
