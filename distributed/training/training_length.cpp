#include "lockstep/distributed/training/training_length.h"

#include <algorithm>
#include <limits>
#include <optional>

namespace lockstep {
namespace {

constexpr auto kNoLimit = std::numeric_limits<std::int64_t>::max();

std::int64_t rounded_up(std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); }

// At most kNoLimit; for numbers of at least 0.
std::int64_t product(std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  return __builtin_mul_overflow(a, b, &result) ? kNoLimit : result;
}
std::int64_t sum(std::int64_t a, std::int64_t b) { return a > kNoLimit - b ? kNoLimit : a + b; }

std::int64_t total_by_epochs(std::int64_t epochs, const EpochCut& cut, std::int64_t steps_done,
                             SamplePosition position) {
  if (position.epoch >= epochs) return steps_done;
  const std::int64_t whole = product(epochs - position.epoch - 1, cut.steps());
  return sum(steps_done, sum(whole, cut.steps_of(cut.samples - position.consumed)));
}

// The epoch in which `rest` more steps end.
std::int64_t last_epoch(std::int64_t rest, const EpochCut& cut, SamplePosition position) {
  if (rest == 0) return position.epoch + (position.consumed > 0);
  const std::int64_t of_this_epoch = cut.steps_of(cut.samples - position.consumed);
  const std::int64_t behind = std::max<std::int64_t>(0, rest - of_this_epoch);
  return position.epoch + 1 + rounded_up(behind, std::max<std::int64_t>(1, cut.steps()));
}

}  // namespace

std::int64_t EpochCut::step_samples() const { return product(batch, accumulate); }

std::int64_t EpochCut::steps_of(std::int64_t left) const {
  return rounded_up(drop_last ? left / batch : rounded_up(left, batch), accumulate);
}

EpochCut epoch_cut(const BatchSource& source, std::int64_t accumulate) {
  EpochCut cut{.samples = source.sample_count(), .batch = source.global_batch_size(), .accumulate = accumulate};
  cut.drop_last = source.steps_per_epoch() < rounded_up(cut.samples, cut.batch);
  return cut;
}

double TrainingLength::schedule_position(std::int64_t steps_done, SamplePosition position) const {
  if (!by_samples) return static_cast<double>(steps_done);
  const auto epoch_steps = static_cast<double>(unit.epoch_steps);
  const double of_this_epoch = static_cast<double>(position.consumed) / static_cast<double>(unit.samples);
  return static_cast<double>(position.epoch) * epoch_steps + std::min(of_this_epoch, epoch_steps);
}

TrainingLength plan_length(const TrainConfig& config, const EpochCut& cut, ScheduleUnit unit, std::int64_t steps_done,
                           SamplePosition position) {
  if (unit.samples == 0) unit = {.samples = cut.step_samples(), .epoch_steps = cut.steps()};
  const std::int64_t by_steps = config.steps.value_or(kNoLimit);
  const std::optional<std::int64_t> epochs = config.epoch_limit();
  const std::int64_t by_epochs = epochs ? total_by_epochs(*epochs, cut, steps_done, position) : kNoLimit;
  const bool epochs_end_it = epochs && by_epochs <= by_steps;

  TrainingLength length;
  length.total_steps = std::min(by_steps, by_epochs);
  length.unit = unit;
  length.epochs = epochs_end_it ? *epochs : last_epoch(std::max<std::int64_t>(0, by_steps - steps_done), cut, position);
  length.by_samples = epochs_end_it || config.schedule == "step" || config.schedule == "multistep";
  length.schedule = {.shape = config.schedule,
                     .learning_rate = config.learning_rate,
                     .warmup_steps = config.warmup_steps,
                     .drop_every = product(config.drop_epochs, unit.epoch_steps),
                     .drop_factor = config.drop_factor,
                     .milestones = {},
                     .total_steps = epochs_end_it ? product(*epochs, unit.epoch_steps) : by_steps};
  Schedule& schedule = length.schedule;
  for (const auto& epoch : config.milestones)
    schedule.milestones.push_back(product(std::stoll(epoch), unit.epoch_steps));
  schedule.end_factor = config.end_factor.value_or(schedule.end_factor);
  schedule.power = config.power.value_or(schedule.power);
  schedule.rise_part = config.rise_part.value_or(schedule.rise_part);
  return length;
}

}  // namespace lockstep
