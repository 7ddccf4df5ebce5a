// Which files of a source directory belong to a snapshot. Looks at names and sizes only.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/snapshot.h"

namespace lockstep {

struct SourceTree {
  std::string ignore_file;          // as in SnapshotPlan
  std::vector<SnapshotFile> files;  // sorted by path, not hashed yet
  std::vector<std::string> notices;
  bool complete = true;  // false: the walk was given up at `most_files`
};

// Throws Failure(usage) as plan_snapshot tells.
SourceTree list_source(const std::filesystem::path& source, std::size_t most_files);

}  // namespace lockstep
