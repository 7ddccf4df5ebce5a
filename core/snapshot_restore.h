// A run's code, given back as it was submitted.
#pragma once

#include <filesystem>

#include "lockstep/core/run_store.h"
#include "lockstep/core/snapshot.h"

namespace lockstep {

// RUN/snapshot.json: every file of the snapshot with its digest.
void record_snapshot(const SnapshotPlan& plan, const RunDirectory& run);

// Copies the run's snapshot into `destination`, which must be empty or not there, with every file's digest checked; the
// copies can be written to. Returns the number of files and links. Throws Failure: usage when `destination` is not
// empty, corrupt_data naming the file that is not as it was submitted, environment. What was made is then removed.
std::size_t restore_snapshot(const RunDirectory& run, const std::filesystem::path& destination);

}  // namespace lockstep
