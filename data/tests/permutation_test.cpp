#include "lockstep/data/permutation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace lockstep {
namespace {

std::vector<std::uint64_t> order(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch) {
  const Permutation permutation(count, seed, epoch);
  std::vector<std::uint64_t> result(count);
  for (std::uint64_t i = 0; i < count; ++i) result[i] = permutation(i);
  return result;
}

bool is_bijection(std::vector<std::uint64_t> samples) {
  std::sort(samples.begin(), samples.end());
  for (std::uint64_t i = 0; i < samples.size(); ++i) {
    if (samples[i] != i) return false;
  }
  return true;
}

TEST(Permutation, IsABijectionOfEverySmallCount) {
  for (std::uint64_t count = 1; count <= 2000; ++count)
    ASSERT_TRUE(is_bijection(order(count, count * 77, count % 5))) << count;
}

TEST(Permutation, IsABijectionOfOddLargeCounts) {
  for (const std::uint64_t count : {4095ULL, 4097ULL, 50000ULL, 65537ULL, 1000003ULL, 1048577ULL}) {
    ASSERT_TRUE(is_bijection(order(count, 12345, 2))) << count;
  }
}

// The test vectors of data/README.md.
TEST(Permutation, GivesTheDocumentedOrder) {
  EXPECT_EQ(order(10, 0, 0), (std::vector<std::uint64_t>{0, 2, 7, 5, 8, 3, 6, 9, 4, 1}));
  EXPECT_EQ(order(10, 0, 1), (std::vector<std::uint64_t>{9, 5, 6, 7, 0, 4, 3, 2, 1, 8}));
  const Permutation cifar(50000, 42, 3);
  EXPECT_EQ(cifar(0), 2132U);
  EXPECT_EQ(cifar(1), 11433U);
  EXPECT_EQ(cifar(2), 11073U);
  EXPECT_EQ(cifar(49999), 36399U);
  const Permutation largest(~0ULL, ~0ULL, 7);
  EXPECT_EQ(largest(0), 3416860333563265729U);
  EXPECT_EQ(largest(~0ULL - 1), 17175715756730655363U);
}

TEST(Permutation, DependsOnSeedAndEpoch) {
  const auto base = order(1000, 1, 0);
  for (const auto& other : {order(1000, 2, 0), order(1000, 1, 1), order(1000, 0, 1)}) {
    std::size_t equal = 0;
    for (std::size_t i = 0; i < base.size(); ++i) equal += base[i] == other[i];
    EXPECT_LT(equal, 10U);  // 1 is expected of unrelated orders; 10 has the probability 1e-7
  }
}

// chi-square with `cells` - 1 degrees of freedom, as standard deviations from its mean.
double deviation(const std::vector<std::uint64_t>& counts) {
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  const double expected = total / static_cast<double>(counts.size());
  double chi = 0;
  for (const std::uint64_t count : counts)
    chi += (static_cast<double>(count) - expected) * (static_cast<double>(count) - expected) / expected;
  const double freedom = static_cast<double>(counts.size() - 1);
  return (chi - freedom) / std::sqrt(2 * freedom);
}

TEST(Permutation, EveryOrderOfFourSamplesIsEquallyLikely) {
  std::vector<std::uint64_t> counts(256);
  for (std::uint64_t seed = 0; seed < 24000; ++seed) {
    const Permutation p(4, seed, 0);
    ++counts[p(0) * 64 + p(1) * 16 + p(2) * 4 + p(3)];
  }
  counts.erase(std::remove(counts.begin(), counts.end(), 0U), counts.end());
  ASSERT_EQ(counts.size(), 24U);
  EXPECT_LT(std::abs(deviation(counts)), 4);
}

TEST(Permutation, EverySampleIsEquallyLikelyAtEveryPlace) {
  constexpr std::uint64_t count = 50, epochs = 10000;
  std::vector<std::uint64_t> counts(count * count);
  for (std::uint64_t epoch = 0; epoch < epochs; ++epoch) {
    const Permutation p(count, 7, epoch);
    for (std::uint64_t i = 0; i < count; ++i) ++counts[i * count + p(i)];
  }
  EXPECT_LT(std::abs(deviation(counts)), 4);
}

// Neighbours in the order are no neighbours in the file more often than chance has it.
TEST(Permutation, NeighboursAreUnrelated) {
  constexpr std::uint64_t count = 50000, cells = 100;
  std::vector<std::uint64_t> counts(cells);
  for (std::uint64_t epoch = 0; epoch < 4; ++epoch) {
    const auto samples = order(count, 3, epoch);
    for (std::size_t i = 1; i < samples.size(); ++i)
      ++counts[(samples[i] + count - samples[i - 1]) % count * cells / count];
  }
  EXPECT_LT(std::abs(deviation(counts)), 4);
}

}  // namespace
}  // namespace lockstep
