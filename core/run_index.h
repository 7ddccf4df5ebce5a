// Runs of a workspace in one go. What finished runs are never changes: per experiment it stands in one file,
// EXPERIMENT/.index.jsonl, so that a listing of ten thousand runs opens a few files. The index is only a copy: without
// it, or with a damaged one, a listing is the same and takes longer.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "lockstep/core/run_store.h"

namespace lockstep {

struct RunQuery {
  std::string experiment = {};  // "": all that are not archived
  bool archived = false;        // of archived experiments too
  bool tags = false;            // fill RunSummary::tags
  std::size_t newest = 0;       // only so many; 0: all. Of the others nothing is read
};

// Newest first. Unreadable directories become a line in `warnings`. The causes of ends are without last_lines: those
// are RunDirectory::summary()'s. Writes the index of an experiment in which it found 50 finished runs or more that were
// not in it, where it may write.
std::vector<RunSummary> query_runs(const Workspace& workspace, const RunQuery& query,
                                   std::vector<std::string>* warnings = nullptr);

}  // namespace lockstep
