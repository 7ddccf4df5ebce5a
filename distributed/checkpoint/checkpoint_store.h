// The checkpoints of one training: a folder of step_<10 digits>.h5, the newest valid one wins.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/distributed/checkpoint/checkpoint.h"

namespace lockstep {

// One process writes (rank 0), which holds the folder's lock (folder_lock.h). Files appear whole or not at all:
// temporary name, fsync, rename, fsync of the folder; then `latest` (the file's name, a hint for people); then old ones
// are removed.
class CheckpointStore {
 public:
  // keep: how many to keep, at least 1. Nothing is created before prepare() or save().
  explicit CheckpointStore(std::filesystem::path folder, int keep = 3) : folder_(std::move(folder)), keep_(keep) {}

  const std::filesystem::path& folder() const { return folder_; }

  // Creates the folder and writes a probe. Throws Failure(environment) when that is impossible.
  void prepare() const;

  // Throws Failure(environment): those saved before are unharmed, and nothing half-written is left. Also removes what
  // killed processes left half-written.
  std::filesystem::path save(const Checkpoint& checkpoint) const;

  struct Found {
    std::filesystem::path path;
    Checkpoint checkpoint;
  };
  // The newest that is valid. A damaged one is reported by `warn` (one sentence), renamed to *.damaged and passed over.
  // Nothing when there are no checkpoints; throws Failure(corrupt_data) when there are some and none is valid: never a
  // fresh start in silence.
  std::optional<Found> newest_valid(const std::function<void(const std::string&)>& warn) const;

  // Moves checkpoints later than `step` (-1: all) into a new subfolder superseded_<n>, so that those of an earlier
  // training are neither resumed nor counted. Returns that folder, or "" when there were none.
  std::filesystem::path set_aside_after(std::int64_t step) const;

  // Steps of the files there, ascending, whatever their contents.
  std::vector<std::int64_t> steps() const;

 private:
  std::filesystem::path file_of(std::int64_t step) const;
  void prune() const;
  void remove_abandoned_steps() const;
  std::filesystem::path folder_;
  int keep_;
};

}  // namespace lockstep
