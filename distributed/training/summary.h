// The result of a training as JSON, for harnesses: `lockstep-train --summary FILE`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/distributed/training/capture_problem.h"
#include "lockstep/distributed/training/memory_report.h"

namespace lockstep {

struct TrainingSummary {
  int world_size = 1;
  std::int64_t steps = 0;         // optimizer steps of the whole training, earlier attempts included
  std::int64_t epochs = 0;        // whole passes over the training samples
  double wall_seconds = 0;        // since this process was started
  double samples_per_second = 0;  // of all ranks, inside steps (without evaluation, checkpoints and start-up)
  double step_seconds_p50 = 0, step_seconds_p95 = 0;
  std::optional<double> exposed_comm_seconds;  // waiting for collectives, mean over ranks; where it is known
  std::optional<double> train_loss;            // the last mean that was logged
  std::optional<double> eval_loss, eval_accuracy;
  std::string weights_sha256;  // on rank 0
  std::string communicator, device;
  CaptureReport capture;
  std::int64_t pieces = 1;        // that each rank's share of a batch was cut into (--accumulate auto)
  std::vector<MemoryUse> memory;  // at the end, by rank
  std::map<std::string, std::string> versions;
  std::string resumed_from;                              // a path, "" for a fresh start
  std::vector<std::pair<std::string, double>> start_up;  // phase and seconds, up to the first step
};

std::string to_json(const TrainingSummary& summary);

// Publishes to_json() in one go, creating the folder. Throws Failure(environment).
void write_summary(const std::filesystem::path& path, const TrainingSummary& summary);

}  // namespace lockstep
