// Recorded steps, as far as they are plain values: why not, how many at once, and where their batches lie.
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/training/capture_problem.h"
#include "lockstep/distributed/training/step_inputs.h"
#include "lockstep/distributed/training/step_launch.h"

namespace lockstep {
namespace {

std::string problem(const std::vector<std::string>& options,
                    CaptureFacts facts = {.on_gpu = true, .device = "cuda:0"}) {
  return capture_problem(parse_train_config(options).value(), facts);
}

TEST(CaptureProblem, NamesWhatNeedsTheHost) {
  EXPECT_EQ(problem({}), "");
  EXPECT_EQ(problem({"--capture", "on", "--clip-norm", "1", "--ema-decay", "0.9", "--accumulate", "3"}), "");
  EXPECT_EQ(problem({"--shard-optimizer", "--compress", "bf16", "--precision", "bf16", "--sync-batch-norm"}), "");
  EXPECT_EQ(problem({"--capture", "off"}), "--capture is off");
  EXPECT_EQ(problem({}, {}), "the device is cpu, and only a GPU's work can be recorded");
  const auto names = [&](const std::string& what, const std::vector<std::string>& options) {
    EXPECT_NE(problem(options).find(what), std::string::npos) << what << ": " << problem(options);
  };
  names("loss scale", {"--precision", "fp16"});
  names("--skip-outliers", {"--skip-outliers", "6"});
  names("--accumulate auto", {"--accumulate", "auto", "--global-batch-size", "64"});
  names("powersgd", {"--compress", "powersgd"});
  names("--checkpoint-activations", {"--checkpoint-activations"});
  const CaptureFacts four{.on_gpu = true, .device = "cuda:0", .communicator = "nccl", .world_size = 4};
  EXPECT_EQ(problem({"--global-batch-size", "4"}, four), "");
  EXPECT_EQ(problem({"--global-batch-size", "3"}, four), "a rank has no samples: the batch is 3, there are 4 ranks");
  CaptureFacts by_mpi = four, narrow = four;
  by_mpi.communicator = "mpi";
  narrow.weights_of_16_bits = true;
  EXPECT_EQ(problem({}, by_mpi), "the communicator mpi works on the host");
  EXPECT_NE(problem({}, narrow).find("16-bit weights"), std::string::npos);
}

TEST(CaptureOptions, ContradictionsAreRefused) {
  const auto refusal = [](const std::vector<std::string>& options) {
    const auto config = parse_train_config(options);
    return config ? std::string("accepted") : config.error().what;
  };
  EXPECT_EQ(refusal({"--capture", "on", "--device", "cpu"}), "--capture is on, --device is cpu");
  EXPECT_EQ(refusal({"--capture", "auto", "--device", "cpu", "--capture-steps", "8"}), "accepted");
  EXPECT_EQ(refusal({"--capture", "off", "--capture-steps", "8"}), "--capture is off, --capture-steps is 8");
  EXPECT_NE(refusal({"--capture", "perhaps"}), "accepted");
  EXPECT_NE(refusal({"--capture-steps", "0"}), "accepted");
  EXPECT_EQ(parse_train_config({"--capture-steps", "12"}).value().capture_steps, 12);
}

TEST(StepsToStop, AreThoseToTheNearestOne) {
  const Stops none{.total_steps = 1000, .log_every = 1'000'000, .log_batch = 8, .step_samples = 8};
  EXPECT_EQ(steps_to_stop(none, 0, 0), 1000);
  EXPECT_EQ(steps_to_stop(none, 990, 80), 10);
  Stops some = none;
  some.eval_every = 30, some.checkpoint_every = 50, some.check_replicas = 7;
  EXPECT_EQ(steps_to_stop(some, 0, 0), 7);
  EXPECT_EQ(steps_to_stop(some, 7, 0), 7) << "the step after which it stopped is over";
  EXPECT_EQ(steps_to_stop(some, 28, 0), 2);
  EXPECT_EQ(steps_to_stop(some, 49, 0), 1);
}

// By the loop's own rule: a window closes after the step with which ceil(consumed / log_batch) / log_every changes.
TEST(StepsToStop, LossWindowsCloseWhereTheLoopClosesThem) {
  for (const std::int64_t log_every : {1, 2, 5})
    for (const std::int64_t log_batch : {4, 8, 12})
      for (const std::int64_t step_samples : {4, 8, 24})
        for (std::int64_t consumed = 0; consumed < 200; consumed += 4) {
          const Stops stops{
              .total_steps = 10000, .log_every = log_every, .log_batch = log_batch, .step_samples = step_samples};
          const auto window = [&](std::int64_t samples) { return (samples + log_batch - 1) / log_batch / log_every; };
          std::int64_t steps = 1;
          while (window(consumed + steps * step_samples) == window(consumed)) ++steps;
          ASSERT_EQ(steps_to_stop(stops, 0, consumed), steps)
              << log_every << " " << log_batch << " " << step_samples << " " << consumed;
        }
}

TEST(StepLaunch, TakesTheLargerGraphWhereItFits) {
  const auto plan = [](std::int64_t until_stop, std::int64_t full_steps, bool alone = false, bool recorded = true) {
    return plan_step_launch({.recorded = recorded,
                             .steps_per_launch = 4,
                             .until_stop = until_stop,
                             .full_steps = full_steps,
                             .alone = alone});
  };
  const StepLaunch by_hand{}, one{.replayed = true, .steps = 1}, four{.replayed = true, .steps = 4};
  EXPECT_EQ(plan(4, 4), four);
  EXPECT_EQ(plan(100, 100), four);
  EXPECT_EQ(plan(3, 100), one) << "a stop comes before";
  EXPECT_EQ(plan(100, 3), one) << "the epoch ends before";
  EXPECT_EQ(plan(100, 0), by_hand) << "an uneven last batch";
  EXPECT_EQ(plan(100, 100, /*alone=*/true), by_hand);
  EXPECT_EQ(plan(100, 100, false, /*recorded=*/false), by_hand);
}

Batch batch_of(double value) {
  return {.input = at::full({3, 2}, value),
          .target = at::full({3}, static_cast<std::int64_t>(value), at::kLong),
          .local_count = 3,
          .global_count = 3};
}

TEST(StepInputs, EachStepFindsItsOwn) {
  StepInputs inputs(batch_of(0), {.steps = 2, .micro_batches = 2, .numbers = 2, .averages = true}, at::kCPU);
  const auto first_place = inputs.batches(1)[0].input.data_ptr();
  for (int launch = 0; launch < 3; ++launch) {
    inputs.wait_until_free();
    for (int step = 0; step < 2; ++step) {
      for (int m = 0; m < 2; ++m) inputs.put_batch(step, m, batch_of(100 * launch + 10 * step + m));
      inputs.put_numbers(step, {1.0 + step, 2.0 + step}, 0.5 + step);
    }
    inputs.send(2);
    for (int step = 0; step < 2; ++step) {
      for (int m = 0; m < 2; ++m) {
        const DeviceBatch& found = inputs.batches(step)[static_cast<std::size_t>(m)];
        const Batch wanted = batch_of(100 * launch + 10 * step + m);
        EXPECT_TRUE(at::equal(found.input, wanted.input));
        EXPECT_TRUE(at::equal(found.target, wanted.target));
      }
      EXPECT_TRUE(at::equal(inputs.numbers(step).of_optimizer, at::arange(1.f + step, 3.f + step)));
      EXPECT_EQ(inputs.numbers(step).of_average.item<float>(), 0.5f + step);
    }
    inputs.launched();
  }
  EXPECT_EQ(inputs.batches(1)[0].input.data_ptr(), first_place) << "a graph reads where it was recorded";
}

TEST(StepInputs, RefuseAnotherShape) {
  StepInputs inputs(batch_of(0), {.numbers = 1}, at::kCPU);
  const Batch uneven{.input = at::full({2, 2}, 1.0), .target = at::full({2}, 1, at::kLong)};
  EXPECT_THROW(inputs.put_batch(0, 0, uneven), Failure);
  EXPECT_THROW(inputs.put_numbers(0, {1, 2}, {}), Failure);
}

}  // namespace
}  // namespace lockstep
