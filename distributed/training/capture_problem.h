// Whether the steps of a training can be recorded and replayed as CUDA graphs (step_graph.h), and why not.
#pragma once

#include <cstdint>
#include <string>

#include "lockstep/distributed/training/train_config.h"

namespace lockstep {

struct CaptureFacts {
  bool on_gpu = false;
  std::string device = "cpu", communicator = "self";  // their names
  int world_size = 1;
  bool weights_of_16_bits = false;
};

// Pure: what stands against it and is known beforehand, as the end of a sentence "…, because"; "" when nothing is.
std::string capture_problem(const TrainConfig& config, const CaptureFacts& facts);

// What became of it, for the summary.
struct CaptureReport {
  bool captured = false;  // steps have been replayed
  std::string reason;     // why not, or why no longer; "" where there is none
  std::int64_t steps_per_launch = 1;
};

}  // namespace lockstep
