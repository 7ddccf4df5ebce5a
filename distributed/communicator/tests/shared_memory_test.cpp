// The shared-memory protocol with threads as ranks. `./dev test --sanitize thread` shows its races, if it has any.
#include <gtest/gtest.h>

#include <barrier>
#include <cmath>
#include <cstring>
#include <latch>
#include <numeric>
#include <vector>

#include "lockstep/core/error.h"
#include "random_collectives.h"
#include "thread_node.h"

namespace lockstep {
namespace {

using testing::run_as_ranks;

class SharedMemoryTest : public ::testing::TestWithParam<int> {};

TEST_P(SharedMemoryTest, AllCollectives) {
  run_as_ranks(GetParam(), [](Communicator& c) {
    for (const std::int64_t count : {0, 1, 37, 1025}) testing::check_all_collectives(c, count);
  });
}

TEST_P(SharedMemoryTest, RandomCollectives) {
  run_as_ranks(GetParam(), [](Communicator& c) { testing::RandomCollectives(c, 11, 3000).run(600); });
}

TEST_P(SharedMemoryTest, RandomCollectivesWithProgressThreads) {
  run_as_ranks(GetParam(), [](Communicator& c) { testing::RandomCollectives(c, 12, 3000).run(300); },
               {.progress_thread = true});
}

// The gradients of the next step may be written as soon as wait() returns: no peer may still read the old ones.
TEST_P(SharedMemoryTest, BuffersAreFreeAfterWait) {
  run_as_ranks(GetParam(), [](Communicator& c) {
    constexpr std::int64_t count = 5000;
    const auto memory = c.allocate(count * 4);
    const Buffer buffer{memory->data(), count};
    for (int step = 0; step < 200; ++step) {
      testing::fill(buffer, c.rank(), step);
      c.all_reduce(buffer, ReduceOp::sum).wait();
      testing::check_elements(buffer,
                              [&](std::int64_t i) { return testing::expected(ReduceOp::sum, c.size(), i, step); });
      if (::testing::Test::HasFailure()) return;
    }
  });
}

// Far more outstanding collectives than announcement slots.
TEST_P(SharedMemoryTest, ManyAtOnce) {
  run_as_ranks(GetParam(), [](Communicator& c) {
    constexpr std::int64_t count = 700;
    constexpr int calls = 60;
    const auto memory = c.allocate(count * 4 * calls);
    std::vector<Work> works;
    for (int call = 0; call < calls; ++call) {
      const Buffer buffer{static_cast<float*>(memory->data()) + call * count, count};
      testing::fill(buffer, c.rank(), call);
      works.push_back(c.all_reduce(buffer, ReduceOp::max));
    }
    for (int call = calls - 1; call >= 0; --call) {
      works[static_cast<std::size_t>(call)].wait();
      const Buffer buffer{static_cast<float*>(memory->data()) + call * count, count};
      testing::check_elements(buffer,
                              [&](std::int64_t i) { return testing::expected(ReduceOp::max, c.size(), i, call); });
    }
  });
}

// Both are under way at once, and ranks wait for them in different orders.
void two_at_once(Communicator& a, Communicator& b) {
  constexpr std::int64_t count = 20'011;
  std::vector<float> foreign(count);
  const auto memory = b.allocate(count * 4);
  const Buffer first{foreign.data(), count}, second{memory->data(), count};
  for (int step = 0; step < 30; ++step) {
    testing::fill(first, a.rank(), step);
    testing::fill(second, b.rank(), step + 1);
    Work of_first = a.all_reduce(first, ReduceOp::sum), of_second = b.all_reduce(second, ReduceOp::sum);
    (a.rank() % 2 == 0 ? of_first : of_second).wait();
    (a.rank() % 2 == 0 ? of_second : of_first).wait();
    const auto sum = [&](int salt) {
      return [&a, salt](std::int64_t i) { return testing::expected(ReduceOp::sum, a.size(), i, salt); };
    };
    testing::check_elements(first, sum(step));
    testing::check_elements(second, sum(step + 1));
  }
}

TEST_P(SharedMemoryTest, TwoCommunicators) { testing::run_as_ranks_with_two(GetParam(), two_at_once); }

TEST_P(SharedMemoryTest, TwoCommunicatorsWithProgressThreads) {
  testing::run_as_ranks_with_two(GetParam(), two_at_once, {.progress_thread = true});
}

// Memory that was given back is used again, and what is in use stays as it is.
TEST_P(SharedMemoryTest, MemoryComesAndGoes) {
  run_as_ranks(GetParam(), [](Communicator& c) {
    const auto lasting = c.allocate(1000);
    std::memset(lasting->data(), 0x11, 1000);
    for (int round = 0; round < 20; ++round) {
      const auto passing = c.allocate(100'000 + round);
      const auto* const bytes = static_cast<const unsigned char*>(passing->data());
      ASSERT_EQ(std::accumulate(bytes, bytes + passing->bytes(), 0), 0) << "not zeroed";
      const Buffer buffer{passing->data(), 20'000};
      testing::fill(buffer, c.rank(), round);
      Work work = c.all_reduce(buffer, ReduceOp::sum);
      if (round % 2 == 0) work.wait();  // else dropped: the destructor waits
    }
    ASSERT_EQ(static_cast<const unsigned char*>(lasting->data())[999], 0x11);
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, SharedMemoryTest, ::testing::Values(1, 2, 3, 4, 5));

// The sums differ in their last bits when the order changes.
TEST(SharedMemory, RepeatsAndRanksAreBitwiseEqual) {
  constexpr int ranks = 4;
  constexpr std::int64_t count = 10'007;
  std::vector<std::vector<float>> results;
  for (const bool direct : {true, false, true, false}) {
    std::vector<std::vector<float>> of_rank(ranks);
    run_as_ranks(ranks, [&](Communicator& c) {
      const auto memory = c.allocate(count * 4);
      std::vector<float> elsewhere(count);
      auto* const data = direct ? static_cast<float*>(memory->data()) : elsewhere.data();
      for (std::int64_t i = 0; i < count; ++i) {
        data[i] = std::sin(static_cast<float>(i * 13 + c.rank() * 7)) * (c.rank() == 2 ? 1e4f : 1e-3f);
      }
      c.all_reduce({data, count}, ReduceOp::average).wait();
      of_rank[static_cast<std::size_t>(c.rank())].assign(data, data + count);
    });
    results.insert(results.end(), of_rank.begin(), of_rank.end());
  }
  for (const auto& result : results) EXPECT_EQ(std::memcmp(result.data(), results[0].data(), count * 4), 0);
}

// Rank 1 calls when the others have announced themselves.
TEST(SharedMemory, TheRankThatComesLastIsNamed) {
  constexpr int calls = 20;
  std::barrier meeting(3);
  run_as_ranks(3, [&](Communicator& c) {
    std::vector<float> data(5'000);
    for (int call = 0; call < calls; ++call) {
      if (c.rank() == 1) meeting.arrive_and_wait();
      Work work = c.all_reduce({data.data(), 5'000}, ReduceOp::sum);
      if (c.rank() != 1) meeting.arrive_and_wait();
      work.wait();
    }
    const CommunicatorStatistics statistics = c.statistics();
    EXPECT_EQ(statistics.calls, calls);
    EXPECT_EQ(statistics.bytes, calls * 5'000 * 4);
    ASSERT_EQ(statistics.of_node.size(), 3u);
    EXPECT_EQ(statistics.of_node[1].rank, 1);
    EXPECT_EQ(statistics.of_node[1].last, calls);
    EXPECT_GT(statistics.of_node[1].late_seconds, 0);
    EXPECT_EQ(statistics.of_node[0].last + statistics.of_node[2].last, 0u);
    EXPECT_EQ(statistics.straggler(), 1);
    EXPECT_GE(statistics.waited_seconds, 0);
  });
}

TEST(SharedMemory, OtherCallsAreNamedOnAllRanks) {
  run_as_ranks(3, [](Communicator& c) {
    std::vector<float> data(100);
    c.barrier();
    try {
      if (c.rank() == 2) {
        c.broadcast({data.data(), 60}, 1).wait();
      } else {
        c.all_reduce({data.data(), 100}, ReduceOp::sum).wait();
      }
      FAIL() << "no Failure on rank " << c.rank();
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::peer_lost);
      EXPECT_NE(
          failure.error().what.find("collective #2 differs between ranks: rank 2 calls broadcast of 60 float32 from "
                                    "rank 1, but rank 0 calls all_reduce of 100 float32 (sum)"),
          std::string::npos)
          << failure.what();
    }
    EXPECT_THROW(c.barrier(), Failure) << "the ranks no longer agree: nothing goes on";
  });
}

// Rank 1 comes when the others have given up.
TEST(SharedMemory, ATimeoutNamesWhoIsMissing) {
  std::latch others(2);
  const auto body = [&](Communicator& c) {
    if (c.rank() == 1) others.wait();
    std::vector<float> data(10'000);
    std::string message;
    try {
      c.all_reduce({data.data(), 10'000}, ReduceOp::sum).wait();
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::peer_lost);
      message = failure.what();
    }
    if (c.rank() != 1) others.count_down();
    EXPECT_NE(message.find("all_reduce #1 of 10000 float32 (sum) is not complete after"), std::string::npos) << message;
    EXPECT_NE(message.find(c.rank() == 1 ? "arrived, but have not done their part: rank 0 2" : "not arrived: rank 1"),
              std::string::npos)
        << message;
    EXPECT_EQ(message.find("rank " + std::to_string(c.rank()) + ":"), 0u) << message;
  };
  run_as_ranks(3, body, {.timeout_seconds = 0.2});
}

}  // namespace
}  // namespace lockstep
