#include "lockstep/distributed/gradients/bucket_partition.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace lockstep {
namespace {

constexpr double kTolerance = 0.02;  // of the communication's length, as the header says

Link straight(double alpha, double beta) { return {.backend = "test", .alpha = alpha, .beta = beta}; }

// What the header says, spelled out: independent of the code under test.
struct Outcome {
  double end = 0, spent = 0;
  bool allowed = true;
};

Outcome outcome_of(const std::vector<ReadyGradient>& gradients, const CommunicationModel& model,
                   const std::vector<int>& ends) {
  Outcome outcome;
  int first = 0;
  for (const int end : ends) {
    std::int64_t bytes = 0;
    double ready = 0;
    for (int i = first; i < end; ++i) {
      bytes += gradients[static_cast<std::size_t>(i)].bytes;
      ready = std::max(ready, gradients[static_cast<std::size_t>(i)].seconds);
    }
    outcome.allowed = outcome.allowed && (end - first == 1 || bytes <= model.limit_bytes);
    const double cost = model.cost.seconds(bytes);
    outcome.end = model.overlaps ? std::max(outcome.end, ready) + cost : outcome.end + cost;
    outcome.spent += cost;
    first = end;
  }
  return outcome;
}

// Bit i of `cuts`: a bucket ends behind gradient i.
std::vector<int> ends_of(unsigned cuts, int count) {
  std::vector<int> ends;
  for (int i = 0; i + 1 < count; ++i) {
    if ((cuts >> i & 1) != 0) ends.push_back(i + 1);
  }
  ends.push_back(count);
  return ends;
}

TEST(BucketPartition, NoOtherPartitionIsBetter) {
  std::mt19937 random(1811);
  for (int round = 0; round < 400; ++round) {
    const int count = 1 + static_cast<int>(random() % 9);
    std::vector<ReadyGradient> gradients;
    double time = 0;
    for (int i = 0; i < count; ++i) {
      time += static_cast<double>(random() % 100);
      gradients.push_back({static_cast<std::int64_t>(random() % 1000), time});
    }
    CommunicationModel model{
        .cost = straight(static_cast<double>(random() % 200), 0.1 * static_cast<double>(random() % 5)),
        .overlaps = random() % 3 != 0,
        .limit_bytes = static_cast<std::int64_t>(100 + random() % 3000)};
    if (random() % 3 == 0) model.cost = fit_link("bent", {{100, 20}, {500, 25}, {1000, 90}, {3000, 500}});
    const auto chosen = partition_gradients(gradients, model);
    const Outcome mine = outcome_of(gradients, model, chosen);
    EXPECT_TRUE(mine.allowed);
    EXPECT_NEAR(modelled_end(gradients, model, chosen), mine.end, 1e-9 * mine.end);

    Outcome best{.end = 1e300};
    for (unsigned cuts = 0; cuts < 1u << (count - 1); ++cuts) {
      const Outcome other = outcome_of(gradients, model, ends_of(cuts, count));
      if (other.allowed && other.end < best.end) best = other;
    }
    // Which of several best ones is not said, and they may spend differently: at most everything.
    EXPECT_GE(mine.end, best.end * (1 - 1e-12));
    EXPECT_LE(mine.end, best.end * (1 + kTolerance) + 1e-9) << "round " << round;
    for (unsigned cuts = 0; cuts < 1u << (count - 1); ++cuts) {
      const auto ends = ends_of(cuts, count);
      const Outcome other = outcome_of(gradients, model, ends);
      if (!other.allowed || ends.size() >= chosen.size()) continue;
      EXPECT_GT(other.end, best.end) << "round " << round << ": as good with fewer buckets";
    }
  }
}

TEST(BucketPartition, BucketsPayWhereBackwardGoesOnMeanwhile) {
  // Two large gradients, the second long after the first.
  const std::vector<ReadyGradient> gradients = {{1000, 0}, {1000, 1}};
  const auto ends = [&](double alpha, bool overlaps) {
    return partition_gradients(gradients, {.cost = straight(alpha, 1e-3), .overlaps = overlaps});
  };
  EXPECT_EQ(ends(0.1, true), (std::vector<int>{1, 2}));  // arrives at 2.1, together at 3.1
  EXPECT_EQ(ends(1.5, true), (std::vector<int>{2}));     // 5 against 4.5
  EXPECT_EQ(ends(0.1, false), (std::vector<int>{2}));    // nothing is hidden: one start less
}

TEST(BucketPartition, CachesMakeSmallBucketsPay) {
  const std::vector<ReadyGradient> gradients(4, {.bytes = 1000, .seconds = 0});
  const Link cached = fit_link("cached", {{1000, 1}, {2000, 2}, {4000, 8}});
  EXPECT_EQ(partition_gradients(gradients, {.cost = cached}), (std::vector<int>{2, 4}));
}

TEST(BucketPartition, TheLimitHoldsButForSingleGradients) {
  const std::vector<ReadyGradient> gradients = {{10, 0}, {10, 0}, {100, 0}, {10, 0}, {10, 0}};
  EXPECT_EQ(partition_gradients(gradients, {.cost = straight(1, 0), .limit_bytes = 20}), (std::vector<int>{2, 3, 5}));
  EXPECT_EQ(partition_gradients(gradients, {.cost = straight(1, 0), .limit_bytes = 1}),
            (std::vector<int>{1, 2, 3, 4, 5}));
}

TEST(BucketPartition, NothingToDivide) {
  EXPECT_TRUE(partition_gradients({}, {}).empty());
  EXPECT_EQ(partition_gradients({{4, 0}}, {}), std::vector<int>{1});
  EXPECT_EQ(partition_gradients({{0, 0}, {0, 0}}, {.cost = straight(0, 0), .overlaps = true}), std::vector<int>{2});
}

}  // namespace
}  // namespace lockstep
