#include "lockstep/distributed/gradients/bucket_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

std::vector<ParameterInfo> tutorial_network() {
  return {{"conv1.weight", 450}, {"conv1.bias", 6}, {"conv2.weight", 2400}, {"conv2.bias", 16},
          {"fc1.weight", 48000}, {"fc1.bias", 120}, {"fc2.weight", 10080},  {"fc2.bias", 84},
          {"fc3.weight", 840},   {"fc3.bias", 10}};
}

std::vector<int> parameters_in_order(const BucketPlan& plan) {
  std::vector<int> order;
  for (const auto& bucket : plan.buckets) {
    for (const auto& slot : bucket.slots) order.push_back(slot.parameter);
  }
  return order;
}

TEST(BucketPlan, TextOfTheTutorialNetwork) {
  const auto parameters = tutorial_network();
  EXPECT_EQ(describe(plan_buckets(parameters, {}), parameters),
            "1 bucket, 62,006 values (248 KB): [fc3.bias … conv1.weight] 248 KB");
  EXPECT_EQ(describe(plan_buckets(parameters, {100'000, 50'000}), parameters),
            "3 buckets, 62,006 values (248 KB): [fc3.bias … fc1.bias] 45 KB, [fc1.weight] 192 KB, "
            "[conv2.bias … conv1.weight] 11 KB");
  EXPECT_EQ(describe(plan_buckets({}, {1, 1}), {}), "0 buckets");
  EXPECT_EQ(describe(plan_buckets({{"w", 1, 8}}, {1, 1}), {{"w", 1, 8}}), "1 bucket, 1 values (8 bytes): [w] 8 bytes");
}

// What must hold for any sizes and limits: a seeded search over many.
TEST(BucketPlan, EveryParameterHasOneAlignedPlace) {
  std::mt19937 random(20240229);
  for (int round = 0; round < 300; ++round) {
    const std::int64_t element_bytes = std::int64_t{1} << (1 + random() % 3);
    std::vector<ParameterInfo> parameters(1 + random() % 40);
    for (auto& parameter : parameters) {
      parameter = {"p" + std::to_string(random() % 1000), static_cast<std::int64_t>(random() % 5000), element_bytes};
    }
    const std::int64_t limit = 1 + random() % 30000;
    const std::int64_t first_limit = 1 + random() % 3000;
    std::vector<int> order(parameters.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
    std::shuffle(order.begin(), order.end(), random);
    const int shards = 1 + static_cast<int>(random() % 5);
    const auto plan = plan_buckets(parameters, {limit, first_limit}, shards, {.order = order});

    EXPECT_EQ(parameters_in_order(plan), order);
    std::int64_t end = 0;
    for (std::size_t b = 0; b < plan.buckets.size(); ++b) {
      const auto& bucket = plan.buckets[b];
      EXPECT_EQ(bucket.offset, end);
      EXPECT_EQ(bucket.count % (kShardUnit * shards), 0);
      for (const auto& slot : bucket.slots) {
        EXPECT_EQ(slot.offset * element_bytes % 64, 0);
        EXPECT_GE(slot.offset, end);
        EXPECT_EQ(slot.count, parameters[slot.parameter].count);
        end = slot.offset + slot.count;
      }
      const auto bytes = (end - bucket.offset) * element_bytes;
      EXPECT_TRUE(bucket.slots.size() == 1 || bytes <= (b == 0 ? first_limit : limit)) << bytes;
      EXPECT_LE(end, bucket.offset + bucket.count);
      EXPECT_LT(bucket.offset + bucket.count - end, kShardUnit * shards + 64);
      end = bucket.offset + bucket.count;
    }
    EXPECT_EQ(end, plan.total_count);
  }
}

// Every value of a parameter is in exactly one piece, every piece in its shard, and nothing else is.
TEST(BucketPlan, ShardsHoldEverythingOnce) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<ParameterInfo> parameters(1 + random() % 20);
    for (auto& parameter : parameters) parameter = {"p", static_cast<std::int64_t>(random() % 9000), 4};
    const int shards = 1 + static_cast<int>(random() % 4);
    const auto plan = plan_buckets(
        parameters, {static_cast<std::int64_t>(1 + random() % 60000), static_cast<std::int64_t>(1 + random() % 9000)},
        shards);
    std::vector<int> owners(static_cast<std::size_t>(plan.total_count));
    for (int shard = 0; shard < shards; ++shard) {
      std::vector<bool> mine(owners.size());
      for (const auto& bucket : plan.buckets) {
        const auto [offset, count] = shard_of(plan, bucket, shard);
        std::fill_n(mine.begin() + offset, count, true);
      }
      std::int64_t before = 0;
      for (const auto& piece : pieces_of(plan, shard)) {
        EXPECT_GE(piece.offset, before);
        EXPECT_GE(piece.room, piece.count);
        before = piece.offset + piece.room;
        for (auto i = piece.offset; i < before; ++i) EXPECT_TRUE(mine[static_cast<std::size_t>(i)]);
        for (auto i = piece.offset; i < piece.offset + piece.count; ++i) ++owners[static_cast<std::size_t>(i)];
      }
    }
    for (const auto& bucket : plan.buckets) {
      for (const auto& slot : bucket.slots) {
        for (std::int64_t i = 0; i < slot.count; ++i) {
          auto& owner = owners[static_cast<std::size_t>(slot.offset + i)];
          ASSERT_EQ(owner, 1);
          owner = 0;
        }
      }
    }
    EXPECT_EQ(std::count(owners.begin(), owners.end(), 0), plan.total_count);
  }
}

TEST(BucketPlan, LimitsDecideTheBuckets) {
  const std::vector<ParameterInfo> parameters = {{"a", 16}, {"b", 16}, {"c", 16}, {"d", 16}};  // 64 bytes each
  const auto sizes = [&](std::int64_t limit, std::int64_t first) {
    std::vector<std::size_t> slots;
    for (const auto& bucket : plan_buckets(parameters, {limit, first}).buckets) slots.push_back(bucket.slots.size());
    return slots;
  };
  EXPECT_EQ(sizes(128, 64), (std::vector<std::size_t>{1, 2, 1}));
  EXPECT_EQ(sizes(127, 128), (std::vector<std::size_t>{2, 1, 1}));
  EXPECT_EQ(sizes(1, 1), (std::vector<std::size_t>{1, 1, 1, 1}));
  EXPECT_EQ(sizes(1 << 30, 1 << 30), (std::vector<std::size_t>{4}));
}

TEST(BucketPlan, ALayoutDecidesOrderAndEnds) {
  const std::vector<ParameterInfo> parameters = {{"a", 16}, {"b", 16}, {"c", 16}, {"d", 16}};
  const auto plan = plan_buckets(parameters, {1, 1}, 1, {.order = {1, 3, 0, 2}, .ends = {1, 4}});
  EXPECT_EQ(parameters_in_order(plan), (std::vector<int>{1, 3, 0, 2}));
  ASSERT_EQ(plan.buckets.size(), 2u);
  EXPECT_EQ(plan.buckets[0].slots.size(), 1u);
  EXPECT_EQ(plan.buckets[1].slots.size(), 3u);
  EXPECT_EQ(plan.buckets[1].offset, kShardUnit);
  EXPECT_EQ(parameters_in_order(plan_buckets(parameters, {1, 1}, 1, {.ends = {4}})), (std::vector<int>{3, 2, 1, 0}));
}

TEST(BucketPlan, HashTellsPlansApart) {
  const auto parameters = tutorial_network();
  const auto hash = [&](std::int64_t limit) { return plan_buckets(parameters, {limit, 50'000}).hash; };
  EXPECT_EQ(hash(100'000), hash(100'000));
  EXPECT_EQ(hash(100'000), 690196941704941573ULL) << "ranks of two builds must be able to train together";
  EXPECT_NE(hash(100'000), hash(1'000));
  auto renamed = parameters;
  renamed[3].name = "conv2.bia";
  EXPECT_NE(plan_buckets(renamed, {100'000, 50'000}).hash, hash(100'000));
  auto resized = parameters;
  resized[3].count = 15;  // the same padding, hence the same offsets
  EXPECT_NE(plan_buckets(resized, {100'000, 50'000}).hash, hash(100'000));
}

TEST(BucketPlan, RefusesWhatWouldLeaveParametersUntrained) {
  const std::vector<ParameterInfo> two = {{"a", 1}, {"b", 1}};
  EXPECT_THROW(plan_buckets(two, {1, 1}, 1, {.order = {0, 0}}), Failure);
  EXPECT_THROW(plan_buckets(two, {1, 1}, 1, {.order = {0}}), Failure);
  for (const std::vector<int>& ends : {std::vector<int>{1}, {3}, {1, 1, 2}, {0, 2}, {-1, 2}, {2, 1}, {1, 2, 2}})
    EXPECT_THROW(plan_buckets(two, {1, 1}, 1, {.ends = ends}), Failure);
  EXPECT_THROW(plan_buckets({{"a", 1, 4}, {"b", 1, 8}}, {1, 1}), Failure);
}

}  // namespace
}  // namespace lockstep
