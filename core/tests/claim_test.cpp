#include "lockstep/core/claim.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <numeric>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void write_claim(const fs::path& file, pid_t pid, const std::string& host, std::uint64_t start_time) {
  const nlohmann::json json{{"pid", pid}, {"host", host}, {"start_time", start_time}, {"time", 1.0}, {"new", {1}}};
  write_contents(file, json.dump());
}

void set_age(const fs::path& file, int seconds) {
  timespec times[2]{};
  times[0].tv_sec = times[1].tv_sec = ::time(nullptr) - seconds;
  ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), times, 0), 0);
}

// A pid that no process has: that of a child which was waited for.
pid_t dead_pid() {
  const pid_t pid = start_child([] { return 0; });
  wait_for_child(pid);
  return pid;
}

TEST(Claim, IsHeldByOneAndGivenBack) {
  TemporaryDirectory folder;
  {
    const auto claim = Claim::try_take(folder / "lock");
    ASSERT_TRUE(claim);
    EXPECT_FALSE(Claim::try_take(folder / "lock"));
    EXPECT_EQ(in_child([&] { return Claim::try_take(folder / "lock") ? 1 : 0; }), 0);
    const auto owner = Claim::owner(folder / "lock");
    ASSERT_TRUE(owner);
    EXPECT_EQ(owner->pid, ::getpid());
    EXPECT_EQ(owner->host, host_name());
    EXPECT_TRUE(owner->alive);
    EXPECT_EQ(owner->describe(), "process " + std::to_string(::getpid()) + " on " + host_name());
  }
  EXPECT_FALSE(Claim::owner(folder / "lock"));
  EXPECT_TRUE(Claim::try_take(folder / "lock"));
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Claim, AForkedChildGivesNothingBack) {
  TemporaryDirectory folder;
  std::optional<Claim> claim = Claim::try_take(folder / "lock");
  EXPECT_EQ(in_child([&] {
              claim.reset();
              return 0;
            }),
            0);
  EXPECT_TRUE(Claim::owner(folder / "lock"));
}

TEST(Claim, OfAKilledProcessIsTakenOver) {
  TemporaryDirectory folder;
  EXPECT_EQ(in_child([&] {
              const auto claim = Claim::try_take(folder / "lock");
              ::raise(SIGKILL);
              return 0;
            }),
            -SIGKILL);
  ASSERT_TRUE(Claim::owner(folder / "lock"));
  EXPECT_FALSE(Claim::owner(folder / "lock")->alive);
  {
    const auto claim = Claim::try_take(folder / "lock");
    ASSERT_TRUE(claim);
    EXPECT_EQ(Claim::owner(folder / "lock")->pid, ::getpid());
  }
  EXPECT_TRUE(names_in(folder.path()).empty());
}

TEST(Claim, APidThatCameAgainIsAnotherProcess) {
  TemporaryDirectory folder;
  const std::uint64_t start = process_start_time(::getpid()).value();
  write_claim(folder / "lock", ::getpid(), host_name(), start);
  EXPECT_FALSE(Claim::try_take(folder / "lock"));
  write_claim(folder / "lock", ::getpid(), host_name(), start - 1);
  EXPECT_TRUE(Claim::try_take(folder / "lock"));
}

TEST(Claim, OfAnotherHostIsFreeAfterLongSilence) {
  TemporaryDirectory folder;
  write_claim(folder / "lock", ::getpid(), "elsewhere", 1);
  EXPECT_FALSE(Claim::try_take(folder / "lock"));
  EXPECT_TRUE(Claim::owner(folder / "lock")->alive);
  set_age(folder / "lock", 31);
  EXPECT_FALSE(Claim::owner(folder / "lock")->alive);
  EXPECT_TRUE(Claim::try_take(folder / "lock"));
}

TEST(Claim, ADamagedFileIsFreeAfterLongSilence) {
  for (const char* content : {"", "{\"pid\": \"x\"}", "[1]", "{\"pid\": 1"}) {
    TemporaryDirectory folder;
    write_contents(folder / "lock", content);
    EXPECT_FALSE(Claim::try_take(folder / "lock")) << content;
    set_age(folder / "lock", 31);
    EXPECT_TRUE(Claim::try_take(folder / "lock")) << content;
  }
}

TEST(Claim, RenewKeepsItYoungAndTellsWhenItIsLost) {
  TemporaryDirectory folder;
  auto claim = Claim::try_take(folder / "lock");
  set_age(folder / "lock", 100);
  claim->renew();
  struct stat status {};
  ASSERT_EQ(::stat((folder / "lock").c_str(), &status), 0);
  EXPECT_GT(status.st_mtim.tv_sec, ::time(nullptr) - 50);

  write_claim(folder / "lock", 1, "elsewhere", 1);
  try {
    claim->renew();
    FAIL() << "renewed what another holds";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::peer_lost);
    EXPECT_NE(failure.error().what.find((folder / "lock").string()), std::string::npos);
  }
  claim.reset();
  EXPECT_EQ(Claim::owner(folder / "lock")->host, "elsewhere") << "a lost claim was removed";
}

TEST(Claim, TakeNamesTheOwnerWhenPatienceEnds) {
  TemporaryDirectory folder;
  const auto claim = Claim::try_take(folder / "lock");
  try {
    Claim::take(folder / "lock", 0.05);
    FAIL() << "taken twice";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    EXPECT_NE(failure.error().what.find("process " + std::to_string(::getpid()) + " on " + host_name()),
              std::string::npos)
        << failure.error().what;
    EXPECT_FALSE(failure.error().hint.empty());
  }
}

TEST(Claim, AMissingDirectoryIsAnError) {
  TemporaryDirectory folder;
  EXPECT_THROW((void)Claim::try_take(folder / "none" / "lock"), Failure);
}

// Read, add one, write: without exclusion some of the additions are lost.
TEST(Claim, ProcessesExcludeEachOther) {
  TemporaryDirectory folder;
  write_contents(folder / "count", "0");
  const auto results = in_children(8, [&](int) {
    for (int i = 0; i < 25; ++i) {
      const Claim claim = Claim::take(folder / "lock", 60);
      const int count = std::stoi(contents(folder / "count"));
      write_contents(folder / "count", std::to_string(count + 1));
    }
    return 0;
  });
  EXPECT_EQ(results, std::vector<int>(8, 0));
  EXPECT_EQ(contents(folder / "count"), "200");
}

TEST(Claim, OfManyThatWantADeadOwnersClaimOneGetsIt) {
  const pid_t dead = dead_pid();
  for (int round = 0; round < 20; ++round) {
    TemporaryDirectory folder;
    write_claim(folder / "lock", dead, host_name(), 1);
    int gate[2];
    ASSERT_EQ(::pipe(gate), 0);
    const auto results = in_children(8, [&](int) {
      const auto claim = Claim::try_take(folder / "lock");
      // Held until all have tried: each writes a byte, and an owner waits for eight.
      char byte = 0;
      (void)!::write(gate[1], &byte, 1);
      if (!claim) return 0;
      for (int i = 0; i < 8; ++i) (void)!::read(gate[0], &byte, 1);
      return 1;
    });
    ::close(gate[0]);
    ::close(gate[1]);
    EXPECT_EQ(std::accumulate(results.begin(), results.end(), 0), 1) << "round " << round;
  }
}

// Killed at any moment, by its parent: the next one still gets it, and nobody waits for ever.
TEST(Claim, SurvivesOwnersThatAreKilledAtAnyMoment) {
  TemporaryDirectory folder;
  for (int round = 0; round < 60; ++round) {
    const pid_t victim = start_child([&] {
      for (;;) const auto claim = Claim::try_take(folder / "lock");
      return 0;
    });
    ::usleep(static_cast<useconds_t>(1000 + round * 137));
    ::kill(victim, SIGKILL);
    EXPECT_EQ(wait_for_child(victim), -SIGKILL);
    EXPECT_NO_THROW(Claim::take(folder / "lock", 30)) << "round " << round;
  }
}

}  // namespace
}  // namespace lockstep
