// What a training says: lines, times, the summary, the errors before it starts, the fault hook.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "lockstep/core/error.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/distributed/session/expected_world.h"
#include "lockstep/distributed/session/start_up_clock.h"
#include "lockstep/distributed/training/fault_injection.h"
#include "lockstep/distributed/training/progress_line.h"
#include "lockstep/distributed/training/rank_waits.h"
#include "lockstep/distributed/training/step_clock.h"
#include "lockstep/distributed/training/summary.h"

namespace lockstep {
namespace {

TEST(LossLine, IsTheTutorials) {
  EXPECT_EQ(loss_line(0, 2000, 2.1938), "epoch=1, batch= 2000: loss 2.19");
  EXPECT_EQ(loss_line(1, 12000, 1.2651), "epoch=2, batch=12000: loss 1.27");
}

TEST(StragglerLine, IsSaidOfWhoCostsATenth) {
  EXPECT_EQ(straggler_line({.straggler = 3, .straggler_seconds = 1.2}, 10),
            "rank 3 kept the others waiting for 12 % of the time");
  EXPECT_EQ(straggler_line({.straggler = 3, .straggler_seconds = 0.9}, 10), "");
  EXPECT_EQ(straggler_line({.straggler = 3, .straggler_seconds = 1.2, .others_seconds = 0.5}, 10), "");
  EXPECT_EQ(straggler_line({}, 0), "");
}

TEST(ProgressLine, NeverPassesTheWindow) {
  const Progress progress{.epoch = 1,
                          .epochs = 3,
                          .step = 6150,
                          .total_steps = 15000,
                          .loss = 1.8317,
                          .samples_per_second = 5120.4,
                          .exposed_fraction = 0.034,
                          .seconds_left = 3723};
  EXPECT_EQ(progress_line(progress, 200),
            "epoch 2/3  [======>         ]  41%  ETA 1:02:03  loss 1.832  5,120 samples/s  step 6150/15000  comm 3%");
  for (int columns = 0; columns < 130; ++columns)
    EXPECT_LE(progress_line(progress, columns).size(), static_cast<std::size_t>(std::max(0, columns - 1))) << columns;
  EXPECT_EQ(progress_line(progress, 30), "epoch 2/3  41%  ETA 1:02:03") << "the estimate outlives the rest";
}

TEST(ProgressLine, KnowsNoLossYet) {
  const std::string line = progress_line({.total_steps = 10, .loss = std::nan("")}, 100);
  EXPECT_EQ(line.find("loss"), std::string::npos) << line;
}

TEST(Texts, OfDurationsAndNumbers) {
  EXPECT_EQ(duration_text(7.4), "0:07");
  EXPECT_EQ(duration_text(59.6), "1:00");
  EXPECT_EQ(duration_text(2 * 86400 + 3 * 3600 + 61), "2 d 3:01:01");
  EXPECT_EQ(duration_text(INFINITY), "?");
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(grouped(-1000), "-1,000");
}

TEST(DurationHistogram, QuantilesAreWithinOnePercent) {
  DurationHistogram histogram;
  EXPECT_EQ(histogram.quantile(0.5), 0);
  for (int i = 1; i <= 1000; ++i) histogram.add(i * 1e-5);  // 10 us … 10 ms
  EXPECT_NEAR(histogram.quantile(0.5), 5e-3, 5e-5);
  EXPECT_NEAR(histogram.quantile(0.95), 9.5e-3, 9.5e-5);
  EXPECT_NEAR(histogram.quantile(1), 1e-2, 1e-4);
  histogram.add(0);
  histogram.add(1e9);
  EXPECT_EQ(histogram.count(), 1002) << "out of range, counted all the same";
}

TEST(StepClock, WindowsAddUpToTheTotal) {
  StepClock clock;
  clock.add(0.5, 8, 0.25);
  clock.add(1.5, 8, 0.5);
  EXPECT_EQ(clock.take_window().samples, 16);
  clock.add(2, 4, 0);
  const StepTotals window = clock.take_window();
  EXPECT_EQ(window.steps, 1);
  EXPECT_EQ(window.seconds, 2);
  EXPECT_EQ(clock.total().steps, 3);
  EXPECT_EQ(clock.total().seconds, 4);
  EXPECT_EQ(clock.total().exposed_seconds, 0.75);
  EXPECT_GT(clock.recent_step_seconds(), 0.5);
  EXPECT_LT(clock.recent_step_seconds(), 2);
}

// On a GPU a step's waiting is known some steps later, in a recorded step never.
TEST(StepClock, ReportsWaitingOnlyWhereItIsKnown) {
  StepClock clock;
  EXPECT_EQ(clock.total().exposed_fraction(), 0);
  clock.add(1, 8, std::nullopt);
  EXPECT_FALSE(clock.total().exposed_fraction());
  clock.add(1, 8, 0.25);
  EXPECT_EQ(clock.take_window().exposed_fraction(), 0.25);
  clock.add(4, 32, std::nullopt, /*steps=*/4);
  EXPECT_FALSE(clock.take_window().exposed_fraction());
  EXPECT_FALSE(clock.total().exposed_fraction()) << "of one step in six";
  EXPECT_EQ(clock.total().steps, 6);
  EXPECT_EQ(clock.histogram().count(), 6);
  EXPECT_NEAR(clock.histogram().quantile(0.9), 1, 0.02);
  clock.add_wait(2);
  EXPECT_EQ(clock.total().seconds, 8);
  EXPECT_EQ(clock.total().steps, 6);
}

TEST(StartUpClock, PhasesFollowEachOther) {
  StartUpClock clock;
  clock.mark("mpi");
  clock.mark("data");
  ASSERT_EQ(clock.phases().size(), 3u);
  EXPECT_EQ(clock.phases()[0].first, "load");
  double sum = 0;
  for (const auto& [name, seconds] : clock.phases()) sum += seconds;
  EXPECT_LE(sum, clock.since_process_start());
}

TEST(Summary, HasTheAgreedNames) {
  const TemporaryDirectory folder;
  TrainingSummary summary;
  summary.world_size = 3;
  summary.start_up = {{"load", 0.25}, {"mpi", 0.5}};
  write_summary(folder / "deep/summary.json", summary);
  std::ifstream file(folder / "deep/summary.json");
  const auto json = nlohmann::json::parse(file);
  for (const char* name :
       {"world_size", "steps", "epochs", "wall_seconds", "samples_per_second", "step_seconds", "exposed_comm_seconds",
        "train_loss", "eval_accuracy", "weights_sha256", "communicator", "device", "versions"})
    EXPECT_TRUE(json.contains(name)) << name;
  EXPECT_EQ(json.at("world_size"), 3);
  EXPECT_TRUE(json.at("train_loss").is_null()) << "nothing was logged";
  EXPECT_TRUE(json.at("resumed_from").is_null());
  EXPECT_TRUE(json.at("exposed_comm_seconds").is_null()) << "nobody has measured it";
  EXPECT_EQ(json.at("capture").at("captured"), false);
  EXPECT_TRUE(json.at("capture").at("reason").is_null());
  EXPECT_EQ(json.at("capture").at("steps_per_launch"), 1);
  EXPECT_EQ(json.at("start_up").at("total"), 0.75);
}

TEST(ExpectedWorldSize, IsANumberOfRanks) {
  unsetenv(contract::kExpectedWorldSize);
  EXPECT_FALSE(expected_world_size());
  setenv(contract::kExpectedWorldSize, "12", 1);
  EXPECT_EQ(expected_world_size(), 12);
  for (const char* bad : {"0", "-3", "2x", "many", " 2"}) {
    setenv(contract::kExpectedWorldSize, bad, 1);
    EXPECT_THROW(static_cast<void>(expected_world_size()), Failure) << bad;
  }
  unsetenv(contract::kExpectedWorldSize);
}

TEST(ExpectedWorldSize, HintsExplainTheSingletonTrap) {
  RankEnvironment slurm;
  slurm.source = "Slurm";
  EXPECT_NE(world_size_hint(1, 8, slurm).find("--mpi=pmix"), std::string::npos);
  RankEnvironment other;
  other.source = "MPICH";
  EXPECT_NE(world_size_hint(1, 8, other).find("does not belong to the MPI library"), std::string::npos);
  EXPECT_NE(world_size_hint(1, 8, {}).find("mpirun -n 8"), std::string::npos);
  EXPECT_EQ(world_size_hint(2, 8, slurm).find("rank 0 of 1"), std::string::npos) << "two ranks did meet";
}

TEST(FaultInjection, StrikesOneRankAtOneStep) {
  const FaultInjection none(1, "");
  const FaultInjection fault(1, "rank=1:step=7:kind=nan");
  const FaultInjection other(0, "rank=1:step=7:kind=nan");
  for (int step = 1; step < 20; ++step) {
    EXPECT_EQ(fault.strike(step), step == 7);
    EXPECT_FALSE(other.strike(step));
    EXPECT_FALSE(none.strike(step));
  }
  EXPECT_THROW(FaultInjection(0, "kind=throw").strike(1), Failure);
  const auto never = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ(none.next_strike(1), never);
  for (const auto* rank : {&fault, &other}) {  // all ranks know when
    EXPECT_EQ(rank->next_strike(1), 7);
    EXPECT_EQ(rank->next_strike(7), 7);
    EXPECT_EQ(rank->next_strike(8), never);
  }
  EXPECT_EQ(FaultInjection(0, "step=7:kind=slow").next_strike(9), 9);
}

TEST(FaultInjection, RefusesWhatItCannotDo) {
  for (const char* bad : {"rank=1", "rank=x:kind=kill", "kind=explode", "kill", "rank=1:step=2:kind=kill:when=now"})
    EXPECT_THROW(FaultInjection(0, bad), Failure) << bad;
}

}  // namespace
}  // namespace lockstep
