// What lies in a file or folder that is registered as a data set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/error.h"
#include "lockstep/core/workspace.h"

namespace lockstep {

struct DatasetContent {
  std::int64_t files = 0;
  std::int64_t bytes = 0;
  // SHA-256 of the file; of a folder that over a line "PATH SIZE SHA256" per file, sorted by path. "" when not asked
  // for.
  std::string sha256;
};

// Of a file, or of all files below a folder; links to files count as files, links to folders are not followed. Usage
// error when there is nothing, or something that cannot be read.
Result<DatasetContent> look_at_dataset(const std::filesystem::path& path, bool digest = true);

// Copies `source` to `destination` (not there yet; its parent is), read-only, and returns what was copied. on_progress
// is called every few seconds meanwhile. Throws Failure(environment), and what on_progress throws.
DatasetContent copy_dataset(const std::filesystem::path& source, const std::filesystem::path& destination,
                            const std::function<void()>& on_progress = {});

// Registers a file or folder as it is, under record.name: size, number of files, kind and, when asked for, digest are
// filled in, the rest of `record` is kept. Usage error as look_at_dataset's and register_dataset's.
Result<DatasetRecord> register_files(const Workspace& workspace, DatasetRecord record, bool digest = true);

}  // namespace lockstep
