// How long a training is and where its schedules stand, also when it goes on with other batches than it began with.
#pragma once

#include <cstdint>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/optimizer/schedule.h"
#include "lockstep/distributed/training/train_config.h"

namespace lockstep {

// How the samples of an epoch are cut into optimizer steps.
struct EpochCut {
  std::int64_t samples = 0;     // of an epoch
  std::int64_t batch = 1;       // samples of one micro-batch of all ranks
  std::int64_t accumulate = 1;  // micro-batches per step
  bool drop_last = false;       // an uneven last micro-batch is left out

  std::int64_t step_samples() const;  // of all steps but the last of an epoch
  // Steps that the last `left` samples of an epoch make, 0 to samples.
  std::int64_t steps_of(std::int64_t left) const;
  std::int64_t steps() const { return steps_of(samples); }
};

EpochCut epoch_cut(const BatchSource& source, std::int64_t accumulate);

// A step of the batch that the training began with: what its schedules are counted in.
struct ScheduleUnit {
  std::int64_t samples = 0;      // 0: unknown, that of today is taken
  std::int64_t epoch_steps = 0;  // per epoch
};

// The rest of a training. Epochs end it after whole passes, whatever the batches; --steps counts optimizer steps as
// they were made.
struct TrainingLength {
  std::int64_t total_steps = 0;  // optimizer steps, those done included
  std::int64_t epochs = 0;       // in which it ends, counted from 1
  ScheduleUnit unit;
  bool by_samples = true;  // the schedule's position comes from the samples seen, or from the steps done
  Schedule schedule;

  // The argument of learning_rate_at() for the step after `steps_done`, at `position` in the samples. Equal to
  // steps_done as long as the batch has not changed.
  double schedule_position(std::int64_t steps_done, SamplePosition position) const;
};

// Pure. unit: as kept in the checkpoint, {} for a fresh start. With the epochs as the limit, and for drops of the
// learning rate, which come after epochs, schedules follow the samples; with --steps as the limit they follow the
// steps.
TrainingLength plan_length(const TrainConfig& config, const EpochCut& cut, ScheduleUnit unit, std::int64_t steps_done,
                           SamplePosition position);

}  // namespace lockstep
