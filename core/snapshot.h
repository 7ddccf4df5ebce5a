// The frozen copy of source_directory, by content: what a run was started from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {

struct SnapshotFile {
  std::filesystem::path path;       // relative to the source directory
  std::int64_t bytes = 0;
  bool executable = false;
  std::string link_target;          // not empty: a symbolic link, kept as one
  std::string sha256;               // of the contents; empty for a link
};

struct SnapshotPlan {
  std::filesystem::path source;     // absolute
  std::string ignore_file;          // the ignore file that was used: ".amlignore", ".lockstepignore", ".gitignore" or ""
  std::vector<SnapshotFile> files;  // sorted by path
  std::int64_t total_bytes = 0;
  std::string digest;               // SHA-256 over paths, modes and contents: equal digests, equal trees
};

// Walks and hashes. Skips .git, .lockstep, what the ignore file names, sockets, devices and pipes.
// Usage error: above a limit (names the ten largest files and the ignore line to add), an unreadable file, a link out of the directory.
Result<SnapshotPlan> plan_snapshot(const std::filesystem::path& source, std::int64_t limit_bytes, std::int64_t limit_files);

// Copies the plan's files into `destination` (created) and verifies each digest while copying; a file that changed meanwhile is
// an environment error that names it. On an error nothing is left behind.
Result<std::filesystem::path> take_snapshot(const SnapshotPlan& plan, const std::filesystem::path& destination);

}  // namespace lockstep
