// The state of a training as a plain value, and as an HDF5 file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/checkpoint/loss_sums.h"
#include "lockstep/distributed/checkpoint/state_dict.h"

namespace lockstep {

// Everything that decides how the training goes on. Tensors are on the CPU and belong to the checkpoint (copies, not
// views of live ones).
struct Checkpoint {
  std::int64_t step = 0;  // optimizer steps done
  SamplePosition position;
  double learning_rate = 0;  // of the last step; for readers, the schedule is a function of step and position
  // Of the batch that the training began with: samples of a step and steps of an epoch. The position of schedules is
  // counted in such steps; 0 where that is unknown.
  std::int64_t first_step_samples = 0, first_epoch_steps = 0;
  // What must be the same when training goes on: model, data, seed, … as text by name.
  std::map<std::string, std::string> identity;
  std::string config;       // the options as INI text, for readers
  NamedTensors state_dict;  // parameters and buffers, in order
  NamedTensors optimizer;   // "steps", "momentum.conv1.weight", …
  // Per rank of the world that wrote it.
  NamedTensors rng;                   // "cpu", "cuda": states of LibTorch's generators, [world size, bytes] uint8
  std::vector<LossSums> loss_window;  // the running loss that has not been logged yet
  double last_train_loss = 0;         // the last mean that was logged; NaN before the first
};

// Writes `path` (which must not exist), flushed to the disk. Layout: README.md here. Throws
// Failure(environment), for example on a full disk; the incomplete file is removed.
void write_checkpoint(const std::filesystem::path& path, const Checkpoint& checkpoint);

// Reads and verifies everything: the digest of the file before anything else, then format, version and the digest of
// every tensor. Throws Failure: corrupt_data when anything is damaged, missing or longer than the file; usage when
// there is no such file or it is of a newer format.
Checkpoint read_checkpoint(const std::filesystem::path& path);

}  // namespace lockstep
