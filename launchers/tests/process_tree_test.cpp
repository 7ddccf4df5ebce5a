#include "lockstep/launchers/process_tree.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "lockstep/core/run_contract.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::string unique_id() {
  return "tree_" + std::to_string(::getpid()) + "_" + std::to_string(Clock::now().time_since_epoch().count());
}

// A shell command in a session of its own that carries the run's mark.
pid_t start(const std::string& run_id, const std::string& command) {
  ProcessSpec spec;
  spec.argv = {"sh", "-c", command};
  spec.environment = std::map<std::string, std::string>{{"PATH", "/usr/bin:/bin"}, {contract::kRunId, run_id}};
  spec.new_session = true;
  return start_process(spec).value();
}

// Waits for what should come soon; the test's own time limit ends what never does.
template <typename Condition>
bool eventually(Condition condition, double seconds = 20) {
  for (const auto begin = Clock::now(); seconds_since(begin) < seconds;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

std::size_t marked(const std::string& run_id) { return processes_with_environment(contract::kRunId, run_id).size(); }

TEST(StopLauncher, AProcessThatObeysEndsBySigterm) {
  WaitSignals signals(true, false);
  const std::string id = unique_id();
  const pid_t pid = start(id, "exec sleep 60");
  const ExitStatus status = stop_launcher(pid, 10, signals, [] {});
  EXPECT_EQ(status.signal, SIGTERM);
}

TEST(StopLauncher, OneThatDoesNotIsKilledAfterTheGrace) {
  WaitSignals signals(true, false);
  const std::string id = unique_id();
  const pid_t pid = start(id, "trap '' TERM; echo ready; while :; do sleep 0.05; done");
  // The trap stands once the loop has started a child.
  ASSERT_TRUE(eventually([&] { return marked(id) >= 2; }));
  int ticks = 0;
  const ExitStatus status = stop_launcher(pid, 0.5, signals, [&] { ++ticks; });
  EXPECT_EQ(status.signal, SIGKILL);
  EXPECT_GE(ticks, 2);
}

TEST(SweepRun, FindsGrandchildrenInSessionsOfTheirOwnAndNobodyElse) {
  const std::string mine = unique_id(), other = unique_id() + "x";
  const pid_t launcher = start(mine, "setsid sleep 61 & setsid sh -c 'sleep 62 & wait' & exec sleep 63");
  const pid_t bystander = start(other, "exec sleep 64");
  ASSERT_TRUE(eventually([&] { return marked(mine) == 4 && marked(other) == 1; }));
  EXPECT_GE(sweep_run(mine), 4);
  EXPECT_EQ(wait_process(launcher).signal, SIGKILL);
  EXPECT_EQ(marked(mine), 0u);
  EXPECT_EQ(marked(other), 1u);
  ::kill(bystander, SIGKILL);
  wait_process(bystander);
}

TEST(SweepRun, EndsTheForksThatHappenMeanwhile) {
  const std::string id = unique_id();
  const pid_t pid = start(id, "while :; do sleep 60 & done");
  ASSERT_TRUE(eventually([&] { return marked(id) > 5; }));
  sweep_run(id, 10);
  wait_process(pid);
  EXPECT_EQ(marked(id), 0u);
}

// env -i and setsid: neither the run's mark nor its process group is left, but it is still an offspring of this
// subreaper.
TEST(SweepDescendants, FindsWhatDroppedItsMarkAndSparesOne) {
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const std::string id = unique_id(), other = unique_id() + "x";
  const pid_t spared = start(other, "exec sleep 67");
  const pid_t launcher = start(id, "env -i setsid sleep 68 & env -i setsid sh -c 'sleep 69 & sleep 69; :' & sleep 0.1");
  wait_process(launcher);
  sweep_run(id);
  ASSERT_TRUE(eventually([&] { return descendants_of(::getpid(), spared).size() == 4; }));
  EXPECT_EQ(sweep_descendants(spared, 10), 4);
  EXPECT_TRUE(descendants_of(::getpid(), spared).empty());
  EXPECT_EQ(descendants_of(::getpid()), std::vector<pid_t>{spared});
  ::kill(spared, SIGKILL);
  wait_process(spared);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST(ReapChildren, BuriesOrphansAndReturnsTheLaunchersStatus) {
  WaitSignals signals(true, false);
  ASSERT_EQ(::prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  const std::string id = unique_id();
  const pid_t launcher = start(id, "(sleep 0.05 &) ; sleep 0.2; exit 9");
  std::optional<ExitStatus> status;
  while (!(status = reap_children(launcher))) signals.wait(5);
  EXPECT_EQ(status->code, 9);
  EXPECT_TRUE(eventually([&] { return reap_children(-1), ::waitpid(-1, nullptr, WNOHANG) < 0; }));
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// A stand-in for the supervisor: it starts a rank under a guard and then ends in the given way.
pid_t supervise_and_end(const std::string& id, bool properly) {
  const pid_t supervisor = ::fork();
  if (supervisor != 0) return supervisor;
  {
    OrphanGuard guard(id);
    start(id, "sleep 65 & exec sleep 66");
    eventually([&] { return marked(id) == 2; });
    if (!properly) ::kill(::getpid(), SIGKILL);
  }
  ::_exit(0);
}

TEST(OrphanGuard, EndsTheRanksOfASupervisorThatWasKilled) {
  const std::string id = unique_id();
  wait_process(supervise_and_end(id, false));
  EXPECT_TRUE(eventually([&] { return marked(id) == 0; }));
}

TEST(OrphanGuard, LeavesThemAloneAfterAProperEnd) {
  const std::string id = unique_id();
  wait_process(supervise_and_end(id, true));  // returns after the guard has ended
  EXPECT_EQ(marked(id), 2u);
  sweep_run(id);
}

TEST(WaitSignals, AStopSignalEndsTheWaitAndIsRemembered) {
  WaitSignals signals(false, true);
  EXPECT_EQ(signals.stop_signal(), 0);
  ::raise(SIGTERM);
  const auto begin = Clock::now();
  signals.wait(30);
  EXPECT_LT(seconds_since(begin), 20);
  EXPECT_EQ(signals.stop_signal(), SIGTERM);
}

TEST(WaitSignals, TheEndOfAChildEndsTheWait) {
  WaitSignals signals(true, false);
  const auto begin = Clock::now();
  const pid_t child = start(unique_id(), "exit 0");
  signals.wait(30);
  EXPECT_LT(seconds_since(begin), 20);
  wait_process(child);
}

TEST(WaitSignals, GivesTheEarlierHandlersBack) {
  struct sigaction before {
  }, after{};
  ::sigaction(SIGTERM, nullptr, &before);
  { WaitSignals signals(true, true); }
  ::sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
}

}  // namespace
}  // namespace lockstep
