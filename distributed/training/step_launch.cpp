#include "lockstep/distributed/training/step_launch.h"

#include <algorithm>

namespace lockstep {
namespace {

std::int64_t rounded_up(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

// Steps until the step number is a multiple of `every`.
std::int64_t to_multiple(std::int64_t every, std::int64_t steps_done) { return every - steps_done % every; }

}  // namespace

std::int64_t steps_to_stop(const Stops& stops, std::int64_t steps_done, std::int64_t consumed) {
  std::int64_t steps = stops.total_steps - steps_done;
  for (const std::int64_t every : {stops.eval_every, stops.checkpoint_every, stops.check_replicas})
    if (every > 0) steps = std::min(steps, to_multiple(every, steps_done));
  // The window closes with the first step that begins the last of its batches.
  const std::int64_t batches = rounded_up(consumed, stops.log_batch);
  const std::int64_t wanted = (batches / stops.log_every + 1) * stops.log_every;
  const std::int64_t samples = (wanted - 1) * stops.log_batch + 1 - consumed;
  steps = std::min(steps, rounded_up(samples, stops.step_samples));
  return std::max<std::int64_t>(1, steps);
}

StepLaunch plan_step_launch(const LaunchChoice& choice) {
  if (!choice.recorded || choice.alone || choice.full_steps < 1) return {};
  const bool fits = choice.steps_per_launch <= std::min(choice.until_stop, choice.full_steps);
  return {.replayed = true, .steps = fits ? choice.steps_per_launch : 1};
}

}  // namespace lockstep
