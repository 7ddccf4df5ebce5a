#include "lockstep/data/sample_plan.h"

#include <gtest/gtest.h>

#include <vector>

namespace lockstep {
namespace {

// All ranks' positions of the steps from `consumed` on, in order; the number of steps in `steps`.
std::vector<std::int64_t> positions(std::int64_t count, std::int64_t consumed, std::int64_t batch, int world,
                                    bool drop_last, std::int64_t most_steps, std::int64_t* reached) {
  std::vector<std::int64_t> all;
  for (std::int64_t step = 0; step < most_steps; ++step) {
    std::int64_t global = 0;
    for (int rank = 0; rank < world; ++rank) {
      const StepPlan plan = plan_step(count, consumed, batch, rank, world, drop_last);
      for (std::int64_t i = 0; i < plan.local.count; ++i) all.push_back(plan.local.first + i);
      global = plan.global_count;
    }
    consumed += global;
  }
  *reached = consumed;
  return all;
}

TEST(SamplePlan, AnyNumberOfRanksSeesEverySampleOnceAndInOrder) {
  for (const int world : {1, 2, 3, 4, 7, 16}) {
    for (const std::int64_t batch : {1, 4, 5, 12, 1000}) {
      for (const std::int64_t count : {1, 4, 100, 101}) {
        std::int64_t reached = 0;
        const auto seen = positions(count, 0, batch, world, false, steps_per_epoch(count, batch, false), &reached);
        ASSERT_EQ(reached, count);
        ASSERT_EQ(seen.size(), static_cast<std::size_t>(count));
        for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
        EXPECT_EQ(plan_step(count, reached, batch, 0, world, false).global_count, 0);
      }
    }
  }
}

TEST(SamplePlan, GoesOnAnywhereWithAnotherNumberOfRanks) {
  for (const std::int64_t steps : {0, 1, 5, 8}) {
    std::int64_t reached = 0, end = 0;
    auto seen = positions(103, 0, 12, 3, false, steps, &reached);
    const auto rest = positions(103, reached, 10, 5, false, steps_per_epoch(103 - reached, 10, false), &end);
    seen.insert(seen.end(), rest.begin(), rest.end());
    ASSERT_EQ(end, 103);
    ASSERT_EQ(seen.size(), 103U);
    for (std::int64_t i = 0; i < 103; ++i) ASSERT_EQ(seen[static_cast<std::size_t>(i)], i);
  }
}

TEST(SamplePlan, TheFirstRanksTakeOneMore) {
  const auto counts = [](std::int64_t consumed) {
    std::vector<std::int64_t> result;
    for (int rank = 0; rank < 4; ++rank) result.push_back(plan_step(13, consumed, 10, rank, 4, false).local.count);
    return result;
  };
  EXPECT_EQ(counts(0), (std::vector<std::int64_t>{3, 3, 2, 2}));
  EXPECT_EQ(counts(10), (std::vector<std::int64_t>{1, 1, 1, 0}));
}

TEST(SamplePlan, DropLastMakesNoUnevenStep) {
  EXPECT_EQ(plan_step(13, 0, 10, 1, 2, true).global_count, 10);
  EXPECT_EQ(plan_step(13, 10, 10, 1, 2, true).global_count, 0);
  EXPECT_EQ(steps_per_epoch(13, 10, true), 1);
  EXPECT_EQ(steps_per_epoch(13, 10, false), 2);
  EXPECT_EQ(steps_per_epoch(20, 10, false), 2);
  EXPECT_EQ(steps_per_epoch(9, 10, true), 0);
}

}  // namespace
}  // namespace lockstep
