// How many steps can be given to the device at once: up to the next one after which the host has something to do. Pure.
#pragma once

#include <cstdint>

namespace lockstep {

// After which steps the host stops to look, but for the ends of epochs.
struct Stops {
  std::int64_t total_steps = 0;                                           // of the training
  std::int64_t eval_every = 0, checkpoint_every = 0, check_replicas = 0;  // steps; 0: never
  std::int64_t log_every = 1, log_batch = 1;  // a loss window is log_every batches of log_batch samples
  std::int64_t step_samples = 1;              // of a full step, all ranks
};

// Steps until the first such step, that one included; at least 1. consumed: samples of the running epoch so far.
std::int64_t steps_to_stop(const Stops& stops, std::int64_t steps_done, std::int64_t consumed);

struct LaunchChoice {
  bool recorded = false;              // graphs are there
  std::int64_t steps_per_launch = 1;  // of the larger graph
  std::int64_t until_stop = 1;        // steps_to_stop()
  std::int64_t full_steps = 0;        // that the epoch still has
  bool alone = false;                 // something happens to the next step on the host
};

struct StepLaunch {
  bool replayed = false;  // false: the host starts the step's operators one by one
  std::int64_t steps = 1;
  bool operator==(const StepLaunch&) const = default;
};

// Graphs repeat full steps alone, one or steps_per_launch of them: the larger graph where it ends at the stop or
// before.
StepLaunch plan_step_launch(const LaunchChoice& choice);

}  // namespace lockstep
