// A run while it is made: what is killed in the middle leaves no half of a run behind.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lockstep/core/claim.h"
#include "lockstep/core/run_store.h"

namespace lockstep {

// Removed with all it holds unless it is published.
class StagedRun {
 public:
  // Throws Failure(usage) for a bad name of an experiment, Failure(environment) when the workspace cannot be written.
  StagedRun(const Workspace& workspace, const std::string& experiment);
  ~StagedRun();
  StagedRun(const StagedRun&) = delete;
  StagedRun& operator=(const StagedRun&) = delete;

  const RunDirectory& run() const { return run_; }  // where it is made; its id is final
  // Gives it its name. From here on everybody sees it.
  RunDirectory publish();

 private:
  // Taken before the folder is made, by which others know that somebody is at work.
  std::optional<Claim> claim_;
  RunDirectory run_;
  bool published_ = false;
};

// What makers of runs that were killed left in an experiment ("": in all): staged folders whose maker is dead on this
// host, or has been silent for a day elsewhere.
std::vector<std::filesystem::path> abandoned_stages(const Workspace& workspace, std::string_view experiment = {});

// Removes it. False: its maker lives after all, or it cannot be removed.
bool remove_abandoned(const std::filesystem::path& stage) noexcept;

}  // namespace lockstep
