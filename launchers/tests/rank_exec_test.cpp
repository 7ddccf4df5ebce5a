#include "lockstep/launchers/rank_exec.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/launchers/launch_plan.h"
#include "lockstep/launchers/rank_exit.h"

namespace lockstep {
namespace {

using Variables = std::map<std::string, std::string>;

// The starter runs in a child of the test, as under mpirun.
class RankExec : public testing::Test {
 protected:
  RankExec() { run_.write_record({{"command", "x"}}); }

  int start(const Variables& variables, std::vector<std::string> arguments) {
    const pid_t child = ::fork();
    if (child == 0) {
      Variables all{{"PATH", "/usr/bin:/bin"}, {"LOCKSTEP_RUN_DIR", run_.path().string()}};
      for (const auto& [name, value] : variables) all[name] = value;
      ::clearenv();
      for (const auto& [name, value] : all) ::setenv(name.c_str(), value.c_str(), 1);
      int code = 99;
      try {
        code = rank_exec_command(arguments);
      } catch (const Failure& failure) {
        code = exit_code(failure.error().kind);
      }
      ::_exit(code);
    }
    return wait_process(child).code;
  }

  std::string log(const std::string& name) { return read_file(run_.path() / "logs" / name); }

  TemporaryDirectory directory_;
  RunDirectory run_ = RunDirectory::create(Workspace::create(directory_.path(), "w").value(), "exp").value();
};

const Variables kRank2Of5{{"OMPI_COMM_WORLD_RANK", "2"},
                          {"OMPI_COMM_WORLD_SIZE", "5"},
                          {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                          {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}};

// For the shell, not for rank-exec.
std::string protect(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '$' ? std::string("$$") : std::string(1, c);
  return result;
}

Variables with(Variables variables, const std::string& name, const std::string& value) {
  variables[name] = value;
  return variables;
}

TEST_F(RankExec, EachRankHasItsLogAndItsVariables) {
  const char* script =
      "echo $RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_WORLD_SIZE $LOCKSTEP_EXPERIMENT $LOCKSTEP_ATTEMPT; echo err >&2; test "
      "$AZUREML_RUN_ID = $LOCKSTEP_RUN_ID";
  EXPECT_EQ(start(kRank2Of5, {"--", "sh", "-c", protect(script)}), 0);
  EXPECT_EQ(start({}, {"--alone", "--", "sh", "-c", protect(script)}), 0);
  EXPECT_EQ(log("70_driver_log_2.txt"), "2/5 0/3 exp 1\nerr\n");
  EXPECT_EQ(log("70_driver_log.txt"), "0/1 0/1 exp 1\nerr\n");
}

TEST(RankVariables, NodesAsAzureTellsThem) {
  const auto variables = [](int rank, int local_rank, int local_size, const Variables& given = {}) {
    return rank_variables({rank, 8, local_rank, local_size, "test"}, "/w/runs/e/id", given).value();
  };
  EXPECT_EQ(variables(0, 0, 4).at("NODE_RANK"), "0");
  EXPECT_EQ(variables(3, 3, 4).at("NODE_RANK"), "0");
  EXPECT_EQ(variables(4, 0, 4).at("NODE_RANK"), "1");
  EXPECT_EQ(variables(7, 3, 4).at("NODE_RANK"), "1");
  const auto own = variables(0, 0, 8);
  EXPECT_EQ(own.at("AZ_BATCH_MASTER_NODE"), own.at("MASTER_ADDR") + ":" + own.at("MASTER_PORT"));
  EXPECT_EQ(variables(0, 0, 8, {{"MASTER_ADDR", "n1"}, {"MASTER_PORT", "6105"}}).at("AZ_BATCH_MASTER_NODE"), "n1:6105");
}

TEST_F(RankExec, ArgumentsAreExpandedOnTheRank) {
  EXPECT_EQ(
      start(kRank2Of5, {"--", "printf", "%s\\n", "part_$RANK", "${WORLD_SIZE}x", "$$RANK", "$NOT_SET", "two words"}),
      0);
  EXPECT_EQ(log("70_driver_log_2.txt"), "part_2\n5x\n$RANK\n$NOT_SET\ntwo words\n");
}

TEST_F(RankExec, TheExitCodeOrSignalIsTheProgramsOwn) {
  EXPECT_EQ(start(kRank2Of5, {"--", "sh", "-c", "exit 75"}), 75);
  EXPECT_EQ(start(kRank2Of5, {"--", "sh", "-c", "kill -TERM $$$$"}), 128 + 15);
  EXPECT_EQ(start({}, {"--alone", "--", "sh", "-c", "kill -KILL $$$$"}), 128 + 9);
}

TEST_F(RankExec, AnEndWithoutSuccessIsRecorded) {
  EXPECT_EQ(start(kRank2Of5, {"--", "true"}), 0);
  EXPECT_FALSE(first_rank_exit(run_.attempt_directory(1)));
  EXPECT_EQ(start(with(kRank2Of5, "LOCKSTEP_ATTEMPT", "3"), {"--", "sh", "-c", "kill -KILL $$$$"}), 128 + 9);
  const auto exit = first_rank_exit(run_.attempt_directory(3));
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->rank, 2);
  EXPECT_EQ(exit->host, host_name());
  EXPECT_EQ(exit->status.signal, 9);
}

// The launcher signals the process group; the program must get that signal once, and nobody may stay behind.
TEST_F(RankExec, AGroupsSignalReachesTheProgramOnce) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setpgid(0, 0);
    ::signal(SIGUSR2, [](int) {});  // this go-between is in the group too
    ::_exit(start(kRank2Of5, {"--", "sh", "-c",
                              "trap 'echo got it; exit 7' USR2; echo ready; while :; do sleep 0.02 & wait; done"}));
  }
  while (!std::filesystem::exists(run_.path() / "logs/70_driver_log_2.txt") || log("70_driver_log_2.txt").empty())
    ::usleep(2000);
  ::kill(-child, SIGUSR2);
  EXPECT_EQ(wait_process(child).code, 7);
  EXPECT_EQ(log("70_driver_log_2.txt"), "ready\ngot it\n");
}

TEST_F(RankExec, AFurtherAttemptIsMarkedInTheLog) {
  EXPECT_EQ(start(with(kRank2Of5, "LOCKSTEP_ATTEMPT", "1"), {"--", "echo", "first"}), 0);
  EXPECT_EQ(start(with(kRank2Of5, "LOCKSTEP_ATTEMPT", "2"), {"--", "echo", "second"}), 0);
  const std::string text = log("70_driver_log_2.txt");
  EXPECT_EQ(text.rfind("first\n--- attempt 2, ", 0), 0u) << text;
  EXPECT_NE(text.find(" UTC ---\nsecond\n"), std::string::npos) << text;
}

TEST_F(RankExec, AProgramThatCannotStartIsReportedByItsRank) {
  EXPECT_EQ(start(kRank2Of5, {"--", "./no-such-program"}), 1);
  EXPECT_EQ(log("70_driver_log_2.txt"), "lockstep: cannot start ./no-such-program: No such file or directory\n");
  const auto error = nlohmann::json::parse(read_file(run_.attempt_directory(1) / "error_2.json"));
  EXPECT_EQ(error.at("rank"), 2);
  EXPECT_EQ(error.at("kind"), "environment");
  EXPECT_EQ(error.at("what"), "cannot start ./no-such-program: No such file or directory");
}

TEST_F(RankExec, SingletonsAreCaught) {
  const Variables alone{
      {"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_SIZE", "1"}, {"LOCKSTEP_EXPECTED_WORLD_SIZE", "4"}};
  EXPECT_EQ(start(alone, {"--", "echo", "trained alone"}), 1);
  EXPECT_EQ(log("70_driver_log.txt").rfind("lockstep: told by Open MPI: world size is 1, expected 4\n", 0), 0u)
      << log("70_driver_log.txt");
}

TEST_F(RankExec, WithoutALauncherItIsAnError) {
  EXPECT_EQ(start({}, {"--", "true"}), 1);
  const auto error = nlohmann::json::parse(read_file(run_.attempt_directory(1) / "error_0.json"));
  EXPECT_EQ(error.at("what"), "no variable says which rank this is");
}

TEST_F(RankExec, BadUsage) {
  EXPECT_EQ(start({}, {"--alone"}), 2);
  EXPECT_EQ(start({}, {"--"}), 2);
  EXPECT_EQ(start({}, {"--other", "--", "true"}), 2);
}

TEST(RankVariables, GivenOnesStayExceptTheRanksOwn) {
  const RankEnvironment rank{3, 4, 1, 2, "Open MPI"};
  const auto variables =
      rank_variables(rank, "/runs/e/e_17_ab", {{"MASTER_PORT", "29500"}, {"RANK", "9"}, {"LOCKSTEP_ATTEMPT", "3"}})
          .value();
  EXPECT_EQ(variables.count("MASTER_PORT"), 0u);
  EXPECT_EQ(variables.count("LOCKSTEP_ATTEMPT"), 0u);
  EXPECT_EQ(variables.at("RANK"), "3");
  EXPECT_EQ(variables.at("LOCKSTEP_RUN_ID"), "e_17_ab");
  EXPECT_EQ(variables.at("LOCKSTEP_EXPERIMENT"), "e");
}

TEST(RankVariables, ThePortIsTheSameOnAllRanksAndAnotherForOthers) {
  const auto port = [](int rank, const std::string& run, const std::string& attempt) {
    return std::stoi(
        rank_variables({rank, 4, {}, {}, "x"}, run, {{"LOCKSTEP_ATTEMPT", attempt}}).value().at("MASTER_PORT"));
  };
  EXPECT_EQ(port(0, "/r/e/e_1", "1"), port(3, "/r/e/e_1", "1"));
  EXPECT_NE(port(0, "/r/e/e_1", "1"), port(0, "/r/e/e_2", "1"));
  EXPECT_NE(port(0, "/r/e/e_1", "1"), port(0, "/r/e/e_1", "2"));
  EXPECT_GE(port(0, "/r/e/e_1", "1"), 15000);
  EXPECT_LT(port(0, "/r/e/e_1", "1"), 32000);
}

TEST(RankVariables, PmixTakesTheSizeFromTheRun) {
  const auto variables =
      rank_variables({2, {}, {}, {}, "PMIx"}, "/r/e/e_1", {{"LOCKSTEP_EXPECTED_WORLD_SIZE", "8"}}).value();
  EXPECT_EQ(variables.at("WORLD_SIZE"), "8");
}

}  // namespace
}  // namespace lockstep
