#include "lockstep/launchers/slots.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "lockstep/core/process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

Ticket ticket(std::uint64_t number, std::string id, int slots) { return {number, std::move(id), slots, 1, 1}; }

TEST(QueuePosition, StartsWhenAllBeforeItAndItselfFit) {
  const std::vector<Ticket> tickets{ticket(5, "c", 4), ticket(1, "a", 2), ticket(3, "b", 3)};
  EXPECT_TRUE(queue_position(tickets, tickets[1], 5).may_start);
  EXPECT_TRUE(queue_position(tickets, tickets[2], 5).may_start);
  const QueuePosition last = queue_position(tickets, tickets[0], 5);
  EXPECT_FALSE(last.may_start);
  EXPECT_EQ(last.free, 0);
  EXPECT_EQ(last.describe(), "waiting for 4 of 5 slots (0 free): behind a, b");
}

TEST(QueuePosition, ASmallRunDoesNotOvertakeALargeOne) {
  const std::vector<Ticket> tickets{ticket(1, "running", 2), ticket(2, "large", 4), ticket(3, "small", 1)};
  const QueuePosition small = queue_position(tickets, tickets[2], 4);
  EXPECT_FALSE(small.may_start);
  EXPECT_EQ(small.free, 2);
  EXPECT_FALSE(queue_position(tickets, tickets[1], 4).may_start);
}

TEST(QueuePosition, EqualNumbersAreOrderedByName) {
  const std::vector<Ticket> tickets{ticket(7, "b", 1), ticket(7, "a", 1)};
  EXPECT_TRUE(queue_position(tickets, tickets[1], 1).may_start);
  EXPECT_FALSE(queue_position(tickets, tickets[0], 1).may_start);
}

TEST(QueuePosition, ATooWideRunWaitsUntilItIsAlone) {
  const std::vector<Ticket> tickets{ticket(1, "a", 1), ticket(2, "wide", 64), ticket(3, "c", 1)};
  EXPECT_FALSE(queue_position(tickets, tickets[1], 2).may_start);
  EXPECT_TRUE(queue_position({tickets[1], tickets[2]}, tickets[1], 2).may_start);
  EXPECT_FALSE(queue_position({tickets[1], tickets[2]}, tickets[2], 2).may_start);
  EXPECT_FALSE(
      queue_position({ticket(1, "x", 2147483647), ticket(2, "y", 2147483647), ticket(3, "z", 1)}, ticket(3, "z", 1), 2)
          .may_start);
}

// Whatever comes and goes: never more slots in use than there are, never a start revoked, nobody overtaken.
TEST(QueuePosition, RandomHistoriesKeepTheRules) {
  std::mt19937 random(20261123);
  for (int history = 0; history < 200; ++history) {
    const int capacity = 1 + static_cast<int>(random() % 8);
    std::vector<Ticket> tickets;
    std::set<std::uint64_t> started;
    std::uint64_t next = 1;
    for (int step = 0; step < 60; ++step) {
      if (random() % 2 || tickets.empty())
        tickets.push_back(ticket(next++, "r", 1 + static_cast<int>(random() % 10)));
      else
        tickets.erase(tickets.begin() + static_cast<std::ptrdiff_t>(random() % tickets.size()));
      int used = 0;
      bool blocked = false;
      for (const Ticket& one : tickets) {
        const bool starts = queue_position(tickets, one, capacity).may_start;
        ASSERT_FALSE(starts && blocked) << "overtaken";
        ASSERT_TRUE(starts || !started.count(one.number)) << "a start was revoked";
        blocked = blocked || !starts;
        if (starts) used += std::min(one.slots, capacity);
        if (starts) started.insert(one.number);
      }
      ASSERT_LE(used, capacity);
      ASSERT_TRUE(tickets.empty() || started.count(tickets.front().number)) << "the first must always start";
    }
  }
}

TEST(SlotQueue, FirstComeFirstServed) {
  const TemporaryDirectory directory;
  auto first = std::make_unique<SlotQueue>(directory.path() / "q", "first", 2, 3);
  const SlotQueue second(directory.path() / "q", "second", 2, 3);
  SlotQueue third(directory.path() / "q", "third", 1, 3);
  EXPECT_TRUE(first->position().may_start);
  EXPECT_FALSE(second.position().may_start);
  EXPECT_FALSE(third.position().may_start);  // one slot is free, but second was there before
  first.reset();
  EXPECT_TRUE(second.position().may_start);
  EXPECT_TRUE(third.position().may_start);
}

TEST(SlotQueue, TicketsOfTheDeadAreSwept) {
  const TemporaryDirectory directory;
  const pid_t dead = ::fork();
  if (dead == 0) {
    new SlotQueue(directory.path(), "dead", 2, 2);  // no destructor: as kill -9
    ::_exit(0);
  }
  ::waitpid(dead, nullptr, 0);
  ASSERT_FALSE(fs::is_empty(directory.path()));
  {
    const SlotQueue queue(directory.path(), "alive", 2, 2);
    EXPECT_TRUE(queue.position().may_start);
  }
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(SlotQueue, AnotherProcessWithTheSamePidIsNotTheHolder) {
  const TemporaryDirectory directory;
  const auto started = process_start_time(::getpid()).value();
  std::ofstream(directory.path() / "000000000004_old")
      << nlohmann::json{{"run", "old"}, {"slots", 2}, {"pid", ::getpid()}, {"start_time", started - 1}};
  const SlotQueue queue(directory.path(), "new", 1, 2);
  EXPECT_TRUE(queue.position().may_start);
  EXPECT_FALSE(fs::exists(directory.path() / "000000000004_old"));
}

TEST(SlotQueue, OtherFilesAreLeftAlone) {
  const TemporaryDirectory directory;
  std::ofstream(directory.path() / "000000000009_torn") << "{\"run\": \"torn\", \"slo";
  std::ofstream(directory.path() / "notes.txt") << "mine";
  const SlotQueue queue(directory.path(), "new", 1, 1);
  EXPECT_TRUE(queue.position().may_start);
  EXPECT_TRUE(fs::exists(directory.path() / "notes.txt"));
}

// Many processes at once for one slot: at no time do two believe that they hold it.
TEST(SlotQueue, RacingProcessesNeverShareASlot) {
  const TemporaryDirectory directory;
  const fs::path held = directory.path() / "held";
  std::vector<pid_t> children;
  for (int child = 0; child < 6; ++child) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    int collisions = 0;
    for (int round = 0; round < 5; ++round) {
      const SlotQueue queue(directory.path() / "q", "run" + std::to_string(child), 1, 1);
      while (!queue.position().may_start) ::usleep(500);
      if (!fs::create_directory(held)) ++collisions;
      ::usleep(1000);
      fs::remove(held);
    }
    ::_exit(collisions ? 1 : 0);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
}

class LocalSlots : public ::testing::Test {
 protected:
  LocalSlots() : workspace_(Workspace::create(directory_.path()).value()) { ::unsetenv("LOCKSTEP_SLOTS"); }
  ~LocalSlots() override { ::unsetenv("LOCKSTEP_SLOTS"); }
  void write_ini(const std::string& text) {
    fs::create_directories(workspace_.root() / "compute");
    std::ofstream(workspace_.root() / "compute/local.ini") << text;
  }
  TemporaryDirectory directory_;
  Workspace workspace_;
};

TEST_F(LocalSlots, DefaultIsWhatThisProcessMayUse) { EXPECT_GE(local_slots(&workspace_).value(), 1); }

TEST_F(LocalSlots, FileThenEnvironment) {
  write_ini("slots = 7\n");
  EXPECT_EQ(local_slots(&workspace_).value(), 7);
  ::setenv("LOCKSTEP_SLOTS", "3", 1);
  EXPECT_EQ(local_slots(&workspace_).value(), 3);
}

TEST_F(LocalSlots, BadNumbersAreUsageErrors) {
  for (const char* text : {"0", "-1", "two", "3x", "99999999999999999999"}) {
    ::setenv("LOCKSTEP_SLOTS", text, 1);
    const auto slots = local_slots(&workspace_);
    ASSERT_FALSE(slots) << text;
    EXPECT_EQ(slots.error().kind, ErrorKind::usage);
    EXPECT_NE(slots.error().what.find(text), std::string::npos);
  }
  ::unsetenv("LOCKSTEP_SLOTS");
  write_ini("slots = 0\n");
  EXPECT_FALSE(local_slots(&workspace_));
  write_ini("slot = 2\n");
  EXPECT_NE(local_slots(&workspace_).error().message().find("slots"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
