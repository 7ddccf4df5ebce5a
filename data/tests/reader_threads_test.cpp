#include "lockstep/data/reader_threads.h"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

constexpr std::int64_t kLarge = 1 << 20, kSmall = 4 * 3072;

TEST(ReaderThreads, OneWhereACoreIsToSpare) {
  EXPECT_EQ(plan_reader_threads(kLarge, 8, 8, 1), 1);  // alone on the machine
  EXPECT_EQ(plan_reader_threads(kLarge, 8, 8, 4), 1);  // unbound: two cores each
  EXPECT_EQ(plan_reader_threads(kLarge, 8, 8, 5), 0);
  EXPECT_EQ(plan_reader_threads(kLarge, 2, 8, 4), 1);  // bound to two cores of its own
  EXPECT_EQ(plan_reader_threads(kLarge, 1, 8, 4), 0);
  EXPECT_EQ(plan_reader_threads(kLarge, 1, 1, 1), 0);
}

TEST(ReaderThreads, NoneForBatchesCheaperThanAThread) { EXPECT_EQ(plan_reader_threads(kSmall, 64, 64, 1), 0); }

}  // namespace
}  // namespace lockstep
