// How long a training is, and where its schedules stand when it goes on with other batches.
#include "lockstep/distributed/training/training_length.h"

#include <gtest/gtest.h>

#include <limits>

namespace lockstep {
namespace {

constexpr auto kLargest = std::numeric_limits<std::int64_t>::max();

TrainConfig config(std::optional<std::int64_t> epochs, std::optional<std::int64_t> steps,
                   const std::string& schedule = "cosine") {
  TrainConfig config;
  config.epochs = epochs;
  config.steps = steps;
  config.schedule = schedule;
  config.learning_rate = 1;
  return config;
}

double rate(const TrainingLength& length, std::int64_t step, SamplePosition position) {
  return learning_rate_at(length.schedule, length.schedule_position(step, position));
}

TEST(EpochCut, CountsStepsOfMicroBatches) {
  const EpochCut cut{.samples = 43, .batch = 8, .accumulate = 2};
  EXPECT_EQ(cut.step_samples(), 16);
  EXPECT_EQ(cut.steps(), 3);
  EXPECT_EQ(cut.steps_of(0), 0);
  EXPECT_EQ(cut.steps_of(16), 1);
  EXPECT_EQ(cut.steps_of(17), 2);
  const EpochCut dropping{.samples = 33, .batch = 8, .accumulate = 2, .drop_last = true};
  EXPECT_EQ(dropping.steps(), 2);
  EXPECT_EQ(dropping.steps_of(7), 0);
}

TEST(TrainingLength, AFreshStartIsWhicheverEndsFirst) {
  const EpochCut seven{.samples = 28, .batch = 4}, seventy{.samples = 280, .batch = 4};
  EXPECT_EQ(plan_length(config({}, {}), seven, {}, 0, {}).total_steps, 14) << "two epochs";
  EXPECT_EQ(plan_length(config({}, 100), seven, {}, 0, {}).total_steps, 100) << "steps alone may pass many epochs";
  EXPECT_EQ(plan_length(config({}, 100), seven, {}, 0, {}).epochs, 15);
  EXPECT_EQ(plan_length(config(3, 100), seven, {}, 0, {}).total_steps, 21);
  EXPECT_EQ(plan_length(config(3, 100), seven, {}, 0, {}).epochs, 3);
  EXPECT_EQ(plan_length(config(3, 100), seventy, {}, 0, {}).total_steps, 100);
  EXPECT_EQ(plan_length(config(3, 100), seventy, {}, 0, {}).epochs, 2);
  EXPECT_EQ(plan_length(config(3, 0), seventy, {}, 0, {}).total_steps, 0);
  EXPECT_EQ(plan_length(config(kLargest, {}), seventy, {}, 0, {}).total_steps, kLargest) << "no overflow";
}

TEST(TrainingLength, TheSameBatchCountsSteps) {
  const EpochCut cut{.samples = 43, .batch = 8};  // 6 steps per epoch
  const TrainingLength whole = plan_length(config(3, {}), cut, {}, 0, {});
  std::int64_t step = 0;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    for (std::int64_t consumed = 0; consumed < 43; consumed += 8, ++step) {
      EXPECT_EQ(whole.schedule_position(step, {epoch, consumed}), static_cast<double>(step));
      const TrainingLength rest = plan_length(config(3, {}), cut, whole.unit, step, {epoch, consumed});
      EXPECT_EQ(rest.total_steps, 18);
      EXPECT_EQ(rate(rest, step, {epoch, consumed}), rate(whole, step, {epoch, consumed}));
    }
  }
}

TEST(TrainingLength, EpochsEndItWhateverTheBatch) {
  const EpochCut four{.samples = 600, .batch = 4}, eight{.samples = 600, .batch = 8};
  const ScheduleUnit unit = plan_length(config(2, {}), four, {}, 0, {}).unit;
  // 160 steps of 4: 40 samples into the second epoch.
  const TrainingLength larger = plan_length(config(2, {}), eight, unit, 160, {1, 40});
  EXPECT_EQ(larger.total_steps, 160 + 70);
  EXPECT_EQ(larger.epochs, 2);
  EXPECT_EQ(larger.schedule_position(160, {1, 40}), 160);
  EXPECT_EQ(larger.schedule_position(161, {1, 48}), 162) << "a step of twice the samples counts twice";
  EXPECT_EQ(larger.schedule_position(230, {2, 0}), 300);
  // And back: the unit stays that of the beginning.
  const TrainingLength back = plan_length(config(2, {}), four, larger.unit, 165, {1, 80});
  EXPECT_EQ(back.total_steps, 165 + 130);
  EXPECT_EQ(back.schedule_position(165, {1, 80}), 170);
  // At its end nothing is left, with any batch.
  for (const EpochCut& cut : {four, eight})
    EXPECT_EQ(plan_length(config(2, {}), cut, unit, 230, {2, 0}).total_steps, 230);
  EXPECT_EQ(plan_length(config(3, {}), eight, unit, 230, {2, 0}).total_steps, 305) << "one more epoch";
}

TEST(TrainingLength, StepsAreCountedAsTheyWereMade) {
  const EpochCut four{.samples = 600, .batch = 4}, eight{.samples = 600, .batch = 8};
  const TrainingLength whole = plan_length(config({}, 200), four, {}, 0, {});
  const TrainingLength rest = plan_length(config({}, 200), eight, whole.unit, 100, {0, 400});
  EXPECT_EQ(rest.total_steps, 200);
  EXPECT_EQ(rest.epochs, 2) << "25 steps of this epoch, 75 of the next";
  EXPECT_EQ(rate(rest, 100, {0, 400}), rate(whole, 100, {0, 400}));
  EXPECT_NEAR(rate(rest, 200, {2, 0}), 0, 1e-12);
}

TEST(TrainingLength, TheRateIsSmoothWhereTheBatchChanges) {
  const EpochCut one{.samples = 1000, .batch = 10}, two{.samples = 1000, .batch = 20};
  for (const std::string schedule : {"constant", "step", "cosine"}) {
    for (const auto& [epochs, steps] :
         {std::pair<std::optional<std::int64_t>, std::optional<std::int64_t>>{3, {}}, {{}, 300}}) {
      TrainConfig options = config(epochs, steps, schedule);
      options.warmup_steps = 20;
      for (const std::int64_t step : {1, 9, 19, 20, 60, 99}) {
        const TrainingLength before = plan_length(options, one, {}, 0, {});
        const TrainingLength after = plan_length(options, two, before.unit, step, {0, step * 10});
        EXPECT_EQ(rate(after, step, {0, step * 10}), rate(before, step, {0, step * 10})) << schedule << ' ' << step;
        EXPECT_LE(rate(after, step, {0, step * 10}), 1);
      }
    }
  }
}

TEST(TrainingLength, DropsComeAfterWholeEpochs) {
  const EpochCut one{.samples = 45, .batch = 10}, two{.samples = 45, .batch = 20};  // 5 steps, 3 steps
  for (const std::optional<std::int64_t> steps : {std::optional<std::int64_t>(), std::optional<std::int64_t>(100)}) {
    TrainConfig options = config(steps ? std::nullopt : std::optional<std::int64_t>(4), steps, "step");
    options.drop_factor = 0.5;
    const TrainingLength rest = plan_length(options, two, plan_length(options, one, {}, 0, {}).unit, 5, {1, 0});
    EXPECT_EQ(rate(rest, 7, {1, 40}), 0.5);
    EXPECT_EQ(rate(rest, 8, {2, 0}), 0.25);
    EXPECT_EQ(rate(rest, 10, {2, 40}), 0.25);
    EXPECT_EQ(rate(rest, 11, {3, 0}), 0.125);
  }
}

TEST(TrainingLength, AWarmUpNeverOvershoots) {
  TrainConfig options = config(2, {});
  options.warmup_steps = 3;
  const TrainingLength rest =
      plan_length(options, {.samples = 100, .batch = 15}, {.samples = 10, .epoch_steps = 10}, 0, {});
  EXPECT_EQ(rate(rest, 2, {0, 25}), 1) << "position 2.5 of 3";
}

}  // namespace
}  // namespace lockstep
