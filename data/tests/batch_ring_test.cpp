#include "lockstep/data/batch_ring.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

namespace lockstep {
namespace {

class BatchRingWith : public ::testing::TestWithParam<int> {};  // the number of threads

TEST_P(BatchRingWith, HandsOutEveryStepInOrderAndNeverOverwritesTheOneInUse) {
  std::vector<std::atomic<std::int64_t>> slots(4);
  BatchRing ring(slots.size(), GetParam(), [&](std::int64_t step, std::size_t slot) { slots[slot] = step; });
  for (const std::int64_t count : {0, 1, 3, 4, 5, 1000}) {
    ring.restart(count);
    for (std::int64_t step = 0; step < count; ++step) {
      const std::int64_t slot = ring.take();
      ASSERT_GE(slot, 0);
      for (int i = 0; i < 50; ++i) ASSERT_EQ(slots[static_cast<std::size_t>(slot)], step);
    }
    EXPECT_EQ(ring.take(), -1);
    EXPECT_EQ(ring.take(), -1);
  }
}

TEST_P(BatchRingWith, RestartForgetsWhatWasReadAhead) {
  std::atomic<std::int64_t> base{0};
  std::vector<std::int64_t> slots(3);
  BatchRing ring(slots.size(), GetParam(), [&](std::int64_t step, std::size_t slot) { slots[slot] = base + step; });
  for (std::int64_t round = 0; round < 200; ++round) {
    ring.restart(0);  // idle: what the threads read may change
    base = round * 100;
    ring.restart(50);
    for (std::int64_t step = 0; step < round % 5; ++step) {
      ASSERT_EQ(slots[static_cast<std::size_t>(ring.take())], round * 100 + step);
    }
  }
}

TEST_P(BatchRingWith, AnExceptionSurfacesAtItsStep) {
  BatchRing ring(3, GetParam(), [](std::int64_t step, std::size_t) {
    if (step % 4 == 2) throw std::runtime_error("step " + std::to_string(step));
  });
  ring.restart(11);
  for (std::int64_t step = 0; step < 11; ++step) {
    if (step % 4 != 2) {
      EXPECT_GE(ring.take(), 0);
      continue;
    }
    try {
      ring.take();
      ADD_FAILURE() << "step " << step << " did not throw";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(error.what(), "step " + std::to_string(step));
    }
  }
  EXPECT_EQ(ring.take(), -1);
}

TEST_P(BatchRingWith, EndsWhileBatchesAreWaiting) {
  std::atomic<int> made{0};
  {
    BatchRing ring(5, GetParam(), [&](std::int64_t, std::size_t) { ++made; });
    ring.restart(1000);
    ring.take();
  }
  EXPECT_LE(made, 6);
  EXPECT_GE(made, 1);
}

INSTANTIATE_TEST_SUITE_P(Threads, BatchRingWith, ::testing::Values(0, 1, 3));

}  // namespace
}  // namespace lockstep
