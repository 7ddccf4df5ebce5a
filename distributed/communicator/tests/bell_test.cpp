#include "lockstep/distributed/communicator/bell.h"

#include <gtest/gtest.h>

#include <thread>

namespace lockstep {
namespace {

// Longer than any test may take: who is not woken hangs.
constexpr std::chrono::microseconds kForever = std::chrono::hours(24);

TEST(Bell, ARingEndsASleep) {
  Bell bell{};
  for (int round = 0; round < 50; ++round) {
    std::thread sleeper([&] {
      Nap nap(&bell);
      nap.sleep(kForever);
    });
    while (bell.rings.load() == static_cast<std::uint32_t>(round)) ring(bell);  // once it sleeps, or is about to
    sleeper.join();
    EXPECT_EQ(bell.sleepers.load(), 0u);
  }
}

TEST(Bell, ARingBeforeTheSleepKeepsItFromBeginning) {
  Bell bell{};
  Nap nap(&bell);
  ring(bell);
  nap.sleep(kForever);
}

TEST(Bell, NobodyAsleepMeansNothingToDo) {
  Bell bell{};
  ring(bell);
  EXPECT_EQ(bell.rings.load(), 0u);
}

TEST(Bell, TimeEndsASleepToo) {
  Bell bell{};
  for (Bell* const any : {&bell, static_cast<Bell*>(nullptr)}) {
    Nap nap(any);
    nap.sleep(std::chrono::microseconds(100));
  }
}

}  // namespace
}  // namespace lockstep
