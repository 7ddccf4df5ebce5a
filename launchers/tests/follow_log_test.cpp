#include "lockstep/launchers/follow_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "lockstep/core/run_contract.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/launchers/run_text.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void append(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::app | std::ios::binary) << text;
}

TEST(LogTail, WaitsForTheFileAndReadsOnlyWhatIsNew) {
  const TemporaryDirectory directory;
  const fs::path log = directory.path() / "log";
  LogTail tail(log);
  EXPECT_EQ(tail.read_new(), "");
  append(log, "one\ntw");
  EXPECT_EQ(tail.read_new(), "one\ntw");
  EXPECT_EQ(tail.read_new(), "");
  append(log, "o\n");
  EXPECT_EQ(tail.read_new(), "o\n");
}

TEST(LogTail, ReadsInPieces) {
  const TemporaryDirectory directory;
  append(directory.path() / "log", "abcdefg");
  LogTail tail(directory.path() / "log");
  EXPECT_EQ(tail.read_new(3), "abc");
  EXPECT_EQ(tail.read_new(3), "def");
  EXPECT_EQ(tail.read_new(3), "g");
}

TEST(LogTail, StartsAgainAfterTruncationAndReplacement) {
  const TemporaryDirectory directory;
  const fs::path log = directory.path() / "log";
  append(log, "a long first text\n");
  LogTail tail(log);
  tail.read_new();
  fs::resize_file(log, 0);
  append(log, "short\n");
  EXPECT_EQ(tail.read_new(), "short\n");
  append(directory.path() / "new", "another file, longer than the one before\n");
  fs::rename(directory.path() / "new", log);
  EXPECT_EQ(tail.read_new(), "another file, longer than the one before\n");
}

TEST(FitFields, LeavesOutFromTheEnd) {
  const std::string line = "epoch 1/2  [==>  ]  41%  ETA 1:02  loss 0.5";
  EXPECT_EQ(fit_fields(line, 0), line);
  EXPECT_EQ(fit_fields(line, 43), line);
  EXPECT_EQ(fit_fields(line, 42), "epoch 1/2  [==>  ]  41%  ETA 1:02");
  EXPECT_EQ(fit_fields(line, 12), "epoch 1/2");
  EXPECT_EQ(fit_fields(line, 5), "epoch");
}

class FollowRun : public ::testing::Test {
 protected:
  FollowRun() : run_(RunDirectory::create(Workspace::create(directory_.path()).value(), "follow").value()) {
    run_.write_record({{"submitted", unix_time()}, {"estimator", {{"node_count", 1}, {"process_count_per_node", 2}}}});
    run_.record_supervisor();
    run_.append_event({.status = RunStatus::Starting});
    run_.append_event({.status = RunStatus::Running, .attempt = 1});
  }

  void end(RunStatus status, EndCause cause) {
    RunEvent event{.status = status, .attempt = 1};
    event.cause = std::move(cause);
    run_.append_event(event);
  }

  int follow(const FollowOptions& options, std::string& out, std::string& err) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int code = follow_run(run_, options);
    out = ::testing::internal::GetCapturedStdout();
    err = ::testing::internal::GetCapturedStderr();
    return code;
  }

  TemporaryDirectory directory_;
  RunDirectory run_;
};

TEST_F(FollowRun, ShowsEverythingUpToTheEndAndReturnsTheExitCode) {
  std::string expected;
  std::thread job([&] {
    for (int i = 0; i < 50; ++i) {
      append(rank_log_path(run_, 0), "line " + std::to_string(i) + "\n");
      std::this_thread::sleep_for(std::chrono::milliseconds(7));
    }
    end(RunStatus::Failed, {.reason = "exit_code",
                            .exit_code = 41,
                            .rank = 0,
                            .message = "rank 0 on h exited with code 41",
                            .last_lines = {"line 49"}});
  });
  for (int i = 0; i < 50; ++i) expected += "line " + std::to_string(i) + "\n";
  std::string out, err;
  EXPECT_EQ(follow({}, out, err), 41);
  job.join();
  EXPECT_EQ(out, expected);
  EXPECT_NE(err.find("Failed"), std::string::npos) << err;
  EXPECT_NE(err.find("rank 0 on h exited with code 41"), std::string::npos) << err;
  EXPECT_NE(err.find("    | line 49"), std::string::npos) << err;
}

TEST_F(FollowRun, AllRanksHaveTheirNumberBeforeEachWholeLine) {
  append(rank_log_path(run_, 0), "zero a\nzero b");
  append(rank_log_path(run_, 1), "one\n");
  end(RunStatus::Completed, {.reason = "completed", .exit_code = 0});
  std::string out, err;
  EXPECT_EQ(follow({.logs = {.all_ranks = true}}, out, err), 0);
  EXPECT_EQ(out, "[0] zero a\n[1] one\n[0] zero b\n");
}

TEST_F(FollowRun, CtrlCLeavesTheRunRunning) {
  // Sent until it is heard: a signal before follow_run listens meets the handler given here.
  const auto earlier = ::signal(SIGINT, [](int) {});
  std::atomic<bool> heard{false};
  std::thread user([&] {
    while (!heard) {
      ::kill(::getpid(), SIGINT);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  std::string out, err;
  EXPECT_EQ(follow({}, out, err), 130);
  heard = true;
  user.join();
  ::signal(SIGINT, earlier);
  EXPECT_NE(err.find("goes on"), std::string::npos);
  EXPECT_NE(err.find("lockstep cancel " + run_.id()), std::string::npos);
  EXPECT_EQ(run_.summary().status, RunStatus::Running);
  EXPECT_FALSE(run_.cancel_requested());
}

TEST(ExitCodeOf, SaysHowItEnded) {
  RunSummary run;
  run.status = RunStatus::Completed;
  EXPECT_EQ(exit_code_of(run), 0);
  run.status = RunStatus::Failed;
  EXPECT_EQ(exit_code_of(run), 1);
  run.cause = EndCause{.reason = "signal", .signal = 9};
  EXPECT_EQ(exit_code_of(run), 137);
  run.cause->exit_code = 2;
  EXPECT_EQ(exit_code_of(run), 2);
  run.status = RunStatus::Canceled;
  run.cause = EndCause{.reason = "canceled"};
  EXPECT_EQ(exit_code_of(run), 1);
}

}  // namespace
}  // namespace lockstep
