#include "lockstep/launchers/attempt.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/process.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/launchers/follow_log.h"
#include "lockstep/launchers/outputs_manifest.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

AttemptEnd ended(int code, StopReason stop = StopReason::none) { return {{code, 0}, stop}; }

TEST(NextMove, DependsOnTheExitCode) {
  EXPECT_EQ(next_move(ended(0), 0, 0, 3), NextMove::complete);
  EXPECT_EQ(next_move(ended(1), 1, 0, 0), NextMove::fail);
  EXPECT_EQ(next_move(ended(1), 1, 0, 1), NextMove::retry);
  EXPECT_EQ(next_move(ended(1), 1, 1, 1), NextMove::fail);
  EXPECT_EQ(next_move(ended(137), 137, 2, 3), NextMove::retry);
}

TEST(NextMove, BadInputIsNeverRetriedAndARequeueNeverCounts) {
  EXPECT_EQ(next_move(ended(2), 2, 0, 9), NextMove::fail);
  EXPECT_EQ(next_move(ended(75), 75, 5, 0), NextMove::requeue);
  EXPECT_EQ(next_move(ended(1), 75, 0, 0), NextMove::requeue);  // mpirun's code and the rank's may differ
}

TEST(NextMove, WhatTheSupervisorEndedIsNotCompleted) {
  EXPECT_EQ(next_move(ended(0, StopReason::canceled), 0, 0, 3), NextMove::cancel);
  EXPECT_EQ(next_move(ended(0, StopReason::time_limit), 0, 0, 3), NextMove::fail);
  EXPECT_EQ(next_move(ended(0, StopReason::peer_failed), 1, 0, 0), NextMove::fail);
  EXPECT_EQ(next_move(ended(143, StopReason::peer_failed), 1, 0, 1), NextMove::retry);
}

TEST(BackOff, DoublesUpToHalfAMinute) {
  EXPECT_EQ(back_off_seconds(1), 1);
  EXPECT_EQ(back_off_seconds(2), 2);
  EXPECT_EQ(back_off_seconds(5), 16);
  EXPECT_EQ(back_off_seconds(6), 30);
  EXPECT_EQ(back_off_seconds(1000), 30);
}

class Attempt : public ::testing::Test {
 protected:
  Attempt() : run_(RunDirectory::create(Workspace::create(directory_.path()).value(), "attempt").value()) {
    run_.write_record({{"submitted", 1.0}});
    fs::create_directories(run_.path() / "work");
  }

  LaunchPlan plan(const std::string& script) {
    LaunchPlan plan;
    plan.launch_argv = plan.rank_argv = {"/bin/sh", "-c", script};
    plan.process_count_per_node = 3;
    plan.environment = {{"COLOUR", "blue"}, {"PATH", "/usr/bin:/bin"}};
    return plan;
  }

  AttemptEnd watch(const std::string& script, WatchLimits limits = {}, int attempt = 1) {
    WaitSignals signals(true, true);
    const Launch launch = launch_attempt(run_, plan(script), attempt, attempt > 1 ? "auto" : "").value();
    WatchCallbacks callbacks;
    callbacks.on_running = [this](const std::string& detail) { said_.push_back(detail); };
    callbacks.on_canceling = [this] { said_.push_back("canceling"); };
    callbacks.on_tick = [] {};
    return watch_attempt(run_, launch, limits, signals, callbacks);
  }

  std::string file(const fs::path& path) {
    std::ifstream in(run_.path() / path);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  TemporaryDirectory directory_;
  RunDirectory run_;
  std::vector<std::string> said_;
};

TEST_F(Attempt, RanksSeeTheContractAndOnlyWhatThePlanLetsThrough) {
  ::setenv("SECRET_OF_SUBMITTER", "1", 1);
  const AttemptEnd end = watch("env; pwd", {}, 2);
  EXPECT_EQ(end.status.code, 0);
  const std::string log = file("logs/70_driver_log.txt");
  for (const std::string& wanted :
       {std::string("COLOUR=blue\n"), "LOCKSTEP_RUN_ID=" + run_.id() + "\n", "AZUREML_RUN_ID=" + run_.id() + "\n",
        "LOCKSTEP_RUN_DIR=" + run_.path().string() + "\n", std::string("LOCKSTEP_EXPERIMENT=attempt\n"),
        std::string("LOCKSTEP_ATTEMPT=2\n"), std::string("LOCKSTEP_EXPECTED_WORLD_SIZE=3\n"),
        std::string("LOCKSTEP_RESUME_FROM=auto\n"), (run_.path() / "work").string() + "\n"})
    EXPECT_NE(log.find(wanted), std::string::npos) << wanted << "\n" << log;
  EXPECT_EQ(log.find("SECRET_OF_SUBMITTER"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(file("attempts/002/attempt.json")).at("resume_from"), "auto");
}

TEST_F(Attempt, AShortProgramWithOutputDidRun) {
  EXPECT_EQ(watch("echo hello; exit 4").status.code, 4);
  EXPECT_EQ(said_, std::vector<std::string>{"first output"});
}

TEST_F(Attempt, OnlyOutputOfThisAttemptCounts) {
  watch("echo first");
  said_.clear();
  watch("exit 3", {}, 2);
  EXPECT_TRUE(said_.empty());
}

TEST_F(Attempt, TheStartedFileCountsBeforeAnyOutput) {
  watch(": > $LOCKSTEP_RUN_DIR/attempts/001/started; sleep 0.3");
  EXPECT_EQ(said_, std::vector<std::string>{"first step"});
}

TEST_F(Attempt, CancelEndsItAndSaysSoBefore) {
  run_.request_cancel("me");
  const AttemptEnd end = watch("exec sleep 60");
  EXPECT_EQ(end.stop, StopReason::canceled);
  EXPECT_EQ(end.status.signal, SIGTERM);
  EXPECT_EQ(said_, std::vector<std::string>{"canceling"});
}

TEST_F(Attempt, TheDeadlineEndsIt) {
  WatchLimits limits;
  limits.deadline = unix_time() + 0.3;
  const AttemptEnd end = watch("exec sleep 60", limits);
  EXPECT_EQ(end.stop, StopReason::time_limit);
}

TEST_F(Attempt, PeersOfAFailedRankAreEndedAfterAWhile) {
  WatchLimits limits;
  limits.linger_seconds = 0.3;
  const AttemptEnd end = watch(
      "echo '{\"rank\": 1, \"host\": \"h\", \"kind\": \"internal\", \"what\": \"w\", \"where\": \"\", \"hint\": \"\"}' "
      "> "
      "$LOCKSTEP_RUN_DIR/attempts/001/error_1.json; exec sleep 60",
      limits);
  EXPECT_EQ(end.stop, StopReason::peer_failed);
}

TEST_F(Attempt, AProgramThatIsMissingIsAnError) {
  LaunchPlan missing = plan("");
  missing.launch_argv = {"/nonexistent/mpirun", "-np", "2"};
  const auto launch = launch_attempt(run_, missing, 1, "");
  ASSERT_FALSE(launch);
  EXPECT_NE(launch.error().what.find("/nonexistent/mpirun"), std::string::npos);
}

TEST_F(Attempt, OutputsAreListedWithTheirDigests) {
  watch(
      "mkdir ../outputs/sub; printf abc > ../outputs/sub/model.bin; : > ../outputs/empty; ln -s /etc/passwd "
      "../outputs/link");
  const auto files = list_outputs(run_);
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].path, "outputs/empty");
  EXPECT_EQ(files[1].path, "outputs/link");
  EXPECT_EQ(files[1].sha256, "-");
  EXPECT_EQ(files[2].path, "outputs/sub/model.bin");
  EXPECT_EQ(files[2].bytes, 3u);
  EXPECT_EQ(files[2].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string text = manifest_text(files);
  EXPECT_NE(text.find("# outputs: 3 files, 3 bytes\n"), std::string::npos);
  EXPECT_NE(text.find("015ad  3  outputs/sub/model.bin\n"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
