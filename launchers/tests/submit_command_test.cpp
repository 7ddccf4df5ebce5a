// `lockstep submit` as it is typed: the real program in a workspace of its own.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/process.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/launchers/experiment.h"
#include "lockstep/launchers/launch_plan.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Words = std::vector<std::string>;

class SubmitCommand : public testing::Test {
 protected:
  SubmitCommand() {
    put("train.sh", "echo \"$RANK of $WORLD_SIZE: $*\"\n");
    put("fail.sh", "echo about to fail; exit 42\n");
  }

  void put(const std::string& path, const std::string& text) {
    std::ofstream(directory_.path() / path) << text;
    ::chmod((directory_.path() / path).c_str(), 0755);
  }

  Captured submit(Words words) {
    words.insert(words.begin(), {LOCKSTEP_PROGRAM, "submit"});
    return capture({.argv = words, .directory = directory_.path()}, 50).value();
  }

  Json dry_run(Words words) {
    words.insert(words.begin(), {"--dry-run", "--json"});
    const Captured result = submit(std::move(words));
    EXPECT_EQ(result.status.code, 0) << result.error;
    return Json::parse(result.output, nullptr, false);
  }

  // What is said about bad input, which ends with 2 and leaves nothing.
  std::string refusal(Words words) {
    const Captured result = submit(std::move(words));
    EXPECT_EQ(result.status.code, 2) << result.output << result.error;
    EXPECT_EQ(result.output, "");
    EXPECT_FALSE(fs::exists(directory_.path() / ".lockstep"));
    return result.error;
  }

  TemporaryDirectory directory_;
};

TEST_F(SubmitCommand, ADryRunLeavesNothingBehind) {
  const Captured result = submit({"--dry-run", "--", "train.sh", "--x"});
  EXPECT_EQ(result.status.code, 0);
  EXPECT_NE(result.output.find(" rank-exec --alone -- "), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("train.sh --x\n"), std::string::npos) << result.output;
  EXPECT_FALSE(fs::exists(directory_.path() / ".lockstep"));
}

TEST_F(SubmitCommand, WordsAfterTheDashesAreUntouched) {
  const Json plan = dry_run({"--", "train.sh", "--dry-run=false", "-x", "a=b", "", "--", "two words"});
  const Words argv = plan.at("launch_plan").at("rank_argv");
  EXPECT_EQ((Words(argv.begin() + 1, argv.end())),
            (Words{"train.sh", "--dry-run=false", "-x", "a=b", "", "--", "two words"}));
}

TEST_F(SubmitCommand, TheCommandLineWinsOverTheFile) {
  put("job.ini",
      "experiment = from_file\nentry_script = train.sh\nmax_restarts = 3\n[script_params]\n--a = 1\n--b = 2\n[tags]\nk "
      "= file\n");
  const Json plain = dry_run({"job.ini"}).at("estimator");
  EXPECT_EQ(plain.at("experiment"), "from_file");
  EXPECT_EQ(plain.at("script_params"), Json::parse(R"([["--a", "1"], ["--b", "2"]])"));
  const Json merged =
      dry_run({"job.ini", "--experiment", "typed", "--script-params", "--b=3", "--tags", "k=typed"}).at("estimator");
  EXPECT_EQ(merged.at("experiment"), "typed");
  EXPECT_EQ(merged.at("max_restarts"), 3);
  EXPECT_EQ(merged.at("script_params"), Json::parse(R"([["--a", "1"], ["--b", "3"]])"));
  EXPECT_EQ(merged.at("tags"), (Json::array({{"k", "typed"}})));
}

TEST_F(SubmitCommand, AnotherProgramReplacesTheFilesOne) {
  put("job.ini", "entry_script = train.sh\n[script_params]\n--a = 1\n");
  EXPECT_EQ(dry_run({"job.ini", "--", "fail.sh"}).at("command"), "fail.sh");
  EXPECT_EQ(dry_run({"job.ini", "--command", "echo hi"}).at("command"), "echo hi");
  put("command.ini", "command = echo hi\n");
  EXPECT_EQ(dry_run({"command.ini", "--entry-script", "fail.sh"}).at("command"), "fail.sh");
}

TEST_F(SubmitCommand, BadInputIsTwoAndOneClearMessage) {
  put("twice.ini", "process_count_per_node = 2\nentry_script = train.sh\nprocess_count_per_node = 4\n");
  EXPECT_EQ(refusal({"twice.ini"}),
            "lockstep: twice.ini:3: process_count_per_node is given twice: '2' and '4' (first at twice.ini:1)\n  keep "
            "one of them\n");
  put("unknown.ini", "proces_count_per_node = 2\n");
  EXPECT_EQ(refusal({"unknown.ini"}),
            "lockstep: unknown.ini:1: unknown field proces_count_per_node; did you mean process_count_per_node?\n");
  put("zero.ini", "node_count = 0\nentry_script = train.sh\n");
  EXPECT_EQ(refusal({"zero.ini"}),
            "lockstep: zero.ini:1: node_count is 0, must be at least 1\n  it is the number of machines\n");
  EXPECT_EQ(refusal({}),
            "lockstep: there is nothing to run: neither entry_script nor command is given\n  for example: lockstep "
            "submit -- train.py --epochs 2\n");
  EXPECT_EQ(refusal({"train.sh"}),
            "lockstep: train.sh is no job file\n  to start a program write: lockstep submit -- train.sh\n");
  EXPECT_EQ(refusal({"gone.ini"}), "lockstep: there is no job file gone.ini\n");
  EXPECT_EQ(refusal({"--"}), "lockstep: command line: no program follows --\n");
  EXPECT_EQ(refusal({"--command", "true", "--", "train.sh"}),
            "lockstep: command line: the program is given twice: by --command and after --\n  give one of them\n");
  EXPECT_EQ(refusal({"a.ini", "b.ini"}).rfind("lockstep: command line: one word too many: b.ini\n", 0), 0u);
}

TEST_F(SubmitCommand, OneWordTooManyForOneOfKeyValues) {
  EXPECT_EQ(refusal({"--entry-script", "train.sh", "--script-params", "--epochs", "2"}),
            "lockstep: command line: there is no job file 2\n  --script-params takes one NAME=VALUE: --script-params "
            "--epochs=2\n");
  EXPECT_EQ(
      refusal({"--environment-variables", "A=1", "B=2", "C=3", "--", "train.sh"}),
      "lockstep: command line: there is no job file B=2\n  --environment-variables takes one NAME[=VALUE]; repeat "
      "it: --environment-variables B=2\n");
  EXPECT_EQ(refusal({"--script-params", "--epochs=2", "--verbose="})
                .rfind("lockstep: command line: unknown option --verbose", 0),
            0u);
  put("job.ini", "entry_script = train.sh\n");
  EXPECT_EQ(dry_run({"--tags", "a=1", "job.ini"}).at("command"), "train.sh");
}

TEST_F(SubmitCommand, WaitingShowsTheLogAndGivesTheExitCode) {
  const Captured good = submit({"--wait", "--", "train.sh", "$WORLD_SIZE"});
  EXPECT_EQ(good.status.code, 0) << good.error;
  EXPECT_NE(good.output.find("\n0 of 1: 1\n"), std::string::npos) << good.output;
  EXPECT_EQ(submit({"--show-output", "--", "fail.sh"}).status.code, 42);
  const Captured json = submit({"--wait", "--json", "--", "fail.sh"});
  EXPECT_EQ(json.status.code, 42);
  EXPECT_EQ(Json::parse(json.output).at("cause").at("exit_code"), 42);
}

TEST_F(SubmitCommand, TwoRanksUnderMpirun) {
  if (probe_local_machine().mpirun.empty()) GTEST_SKIP() << "mpirun is not installed";
  const Captured result =
      submit({"--process-count-per-node", "2", "--json", "--wait", "--experiment", "pair", "--", "train.sh", "$RANK"});
  ASSERT_EQ(result.status.code, 0) << result.error;
  const fs::path run = Json::parse(result.output).at("directory").get<std::string>();
  const auto log = [&](const char* name) {
    std::ifstream file(run / "logs" / name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_EQ(log("70_driver_log.txt"), "0 of 2: 0\n");
  EXPECT_EQ(log("70_driver_log_1.txt"), "1 of 2: 1\n");
}

TEST_F(SubmitCommand, TheSameFromCpp) {
  ::setenv("PATH", (fs::path(LOCKSTEP_PROGRAM).parent_path().string() + ":" + std::getenv("PATH")).c_str(), 1);
  const Experiment experiment(Workspace::create(directory_.path()).value(), "from_cpp");
  Estimator estimator;
  estimator.source_directory = directory_.path();
  estimator.entry_script = "fail.sh";
  const lockstep::Run run = experiment.submit(estimator);
  const RunSummary end = run.wait_for_completion();
  EXPECT_EQ(end.status, RunStatus::Failed);
  EXPECT_EQ(end.cause->exit_code, 42);
  EXPECT_THROW(run.wait_for_completion(false, /*raise_on_error=*/true), Failure);
  ASSERT_EQ(experiment.runs().size(), 1u);
  EXPECT_EQ(experiment.runs()[0].id, run.id());
}

}  // namespace
}  // namespace lockstep
