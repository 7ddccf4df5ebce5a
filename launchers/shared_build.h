// Something that is built once and used by many runs: a Python environment, a C++ program. Whoever needs it first
// builds it, others that come meanwhile wait for it and see the same output.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/launchers/wait_signals.h"

namespace lockstep {

struct BuildStep {
  std::string title;              // "pip install"
  std::vector<std::string> argv;  // argv[0] is looked up on the PATH of the build's variables
  std::string hint = {};          // for people, when it fails
};

// All that a build does, as plain values: printed by --dry-run, kept in run.json. Beside `directory` lie its log
// (KEY.log), its claim (KEY.claim) and, after a failure, KEY.failed.json.
struct BuildPlan {
  std::string title;                         // "environment py-12ab…", for people
  std::filesystem::path directory = {};      // absolute; empty: nothing is to be built
  std::map<std::string, std::string> files;  // below it, written first: name -> text
  bool with_source = false;                  // the run's snapshot is copied into directory/source
  std::vector<BuildStep> steps = {};         // run in `directory`
};
nlohmann::ordered_json to_json(const BuildPlan& plan);
BuildPlan build_plan_from_json(const nlohmann::ordered_json& json);

// What a build needs of the one who wants it.
struct BuildRequest {
  std::map<std::string, std::string> variables;  // the whole environment of the steps
  std::filesystem::path source = {};             // the snapshot, for with_source
  std::string run_id = {};                       // recorded; also by which leftovers of the run are found
  bool force = false;                            // build anew what is there already
};

struct BuildCallbacks {
  std::function<void(const std::string& text)> on_text;  // output of the steps, also of another's build
  std::function<void(const std::string& detail)> on_detail;  // "building …", "waiting for …, built by …", "… cached"
  std::function<void()> on_tick;                             // several times a second
  std::function<bool()> wants_stop;
  // Once the steps have run: looks at the result, adds to its record, may throw Failure. The record's keys are kept.
  std::function<void(nlohmann::ordered_json& record)> on_built;
};

// A build that failed, with the lines that tell why.
class BuildFailure : public Failure {
 public:
  BuildFailure(Error error, std::vector<std::string> last_lines)
      : Failure(std::move(error)), last_lines_(std::move(last_lines)) {}
  const std::vector<std::string>& last_lines() const { return last_lines_; }

 private:
  std::vector<std::string> last_lines_;
};

// Returns the record (directory/environment.json: written last, so a directory without one is none) of the build that
// is there, or is made now; nothing when wants_stop() ended it, and then no half of it is left. A build that fails
// while this one waits for it counts as this one's failure. Throws BuildFailure for a step that failed, Failure for the
// rest.
std::optional<nlohmann::ordered_json> shared_build(const BuildPlan& plan, const BuildRequest& request,
                                                   WaitSignals& signals, const BuildCallbacks& callbacks);

// The record of what is built; nothing when it is not, or is damaged.
std::optional<nlohmann::ordered_json> built_record(const std::filesystem::path& directory);

// Pure. Of a build's output the lines that say what is wrong, at most `count`: each compiler's, CMake's or pip's error
// with what follows it, else the last lines.
std::vector<std::string> telling_lines(const std::string& output, std::size_t count = 20);

}  // namespace lockstep
