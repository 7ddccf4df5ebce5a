// The frozen copy of source_directory, by content: what a run was started from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/core/object_store.h"

namespace lockstep {

struct SnapshotFile {
  std::filesystem::path path;  // relative to the source directory
  std::int64_t bytes = 0;
  bool executable = false;
  std::string link_target;  // not empty: a symbolic link, kept as one
  std::string sha256;       // of the contents; empty for a link
  std::string stamp = {};   // when it had these contents (hash_cache.h); empty: not known
};

struct SnapshotPlan {
  std::filesystem::path source;  // absolute
  std::string ignore_file;       // the ignore file that was used: ".amlignore", ".lockstepignore", ".gitignore" or ""
  std::vector<SnapshotFile> files;  // sorted by path
  std::int64_t total_bytes = 0;
  std::string digest;                // SHA-256 over paths, modes and contents: equal digests, equal trees
  std::vector<std::string> notices;  // for people: what of the source directory the ranks will not see
  double looked_at = 0;              // before the first file was looked at, in seconds since 1970
};

// Walks and hashes. Left out: .git and .lockstep at any depth; ./outputs and ./logs, which are the run's own; what the
// ignore file names (that file of the source directory, and files of the same name below it, as git does); sockets,
// devices and pipes; empty folders; the files that this process' own output and error stream go to, which grow while it
// looks. Usage error: above a limit (names the ten largest files and the ignore line to add;
// nothing was read by then), a file that cannot be read, a link that is absolute or leads out of the directory.
// objects: the store of snapshots, which knows the digests of files that did not change since; they are not read again.
Result<SnapshotPlan> plan_snapshot(const std::filesystem::path& source, std::int64_t limit_bytes,
                                   std::int64_t limit_files,
                                   const ObjectStore& objects = ObjectStore(std::filesystem::path()));

// SnapshotPlan::digest of these files.
std::string snapshot_digest(const std::vector<SnapshotFile>& files);

// Puts the plan's files into `destination` (created) as links to objects of the store, where a file that is known to it
// is not read again, and returns the plan of what was taken: a file that is not in the store yet and changed since it
// was planned is copied until two looks agree, at most three times, and then has the size and digest of its copy. On an
// error (environment) nothing is left behind. The files are read-only.
Result<SnapshotPlan> take_snapshot(SnapshotPlan plan, const std::filesystem::path& destination,
                                   const ObjectStore& objects);

// A writable copy (of the same blocks, where the file system can) of the snapshot in `snapshot`, whose files must be as
// `plan` says, made in `work` (created): where the ranks run. Throws Failure(environment).
void copy_snapshot(const SnapshotPlan& plan, const std::filesystem::path& snapshot, const std::filesystem::path& work);

}  // namespace lockstep
