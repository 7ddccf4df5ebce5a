#include "lockstep/core/estimator.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/entry_script.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& text, int mode = 0644) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
  ::chmod(path.c_str(), static_cast<mode_t>(mode));
}

// A source directory with a train.py in it, and the estimator that runs it.
class Validation : public testing::Test {
 protected:
  Validation() {
    write_file(source_.path() / "train.py", "print(1)\n");
    estimator_.source_directory = source_.path();
    estimator_.entry_script = "train.py";
  }

  // The only problem there is.
  Error problem(const OptionTableBase::Origins& origins = {}) {
    const auto errors = validate(estimator_, origins);
    EXPECT_EQ(errors.size(), 1u);
    for (const Error& error : errors) EXPECT_EQ(error.kind, ErrorKind::usage);
    return errors.empty() ? Error{} : errors.front();
  }

  TemporaryDirectory source_;
  Estimator estimator_;
};

TEST_F(Validation, ASoundEstimatorHasNoProblem) { EXPECT_TRUE(validate(estimator_).empty()); }

TEST_F(Validation, NodeCount) {
  estimator_.node_count = 0;
  const Error error = problem({{"node-count", "job.ini:3"}});
  EXPECT_EQ(error.message(), "job.ini:3: node_count is 0, must be at least 1\n  it is the number of machines");
}

TEST_F(Validation, ProcessCountPerNode) {
  estimator_.process_count_per_node = -4;
  EXPECT_EQ(problem().message(),
            "process_count_per_node is -4, must be at least 1\n  it is the number of ranks on each machine");
}

TEST_F(Validation, MoreRanksThanThereCanBe) {
  estimator_.node_count = 2'000'000'000;
  estimator_.process_count_per_node = 2'000'000'000;
  EXPECT_EQ(problem().what,
            "node_count x process_count_per_node is 4000000000000000000, at most 1000000 ranks are possible");
}

TEST_F(Validation, SeveralRanksWithoutADistributedBackend) {
  estimator_.node_count = 2;
  estimator_.process_count_per_node = 3;
  estimator_.distributed_training = "none";
  const Error error = problem({{"distributed-training", "command line"}});
  EXPECT_EQ(error.where, "command line");
  EXPECT_EQ(error.what, "distributed_training is none, but node_count x process_count_per_node is 6");
  EXPECT_EQ(error.hint,
            "processes that know nothing of each other would all train the same model: use mpi, or one process");
}

TEST_F(Validation, ParameterServerIsRefusedWithTheReason) {
  estimator_.distributed_training = "parameter_server";
  EXPECT_EQ(problem().message(),
            "distributed_training = parameter_server is not supported: there are no parameter servers\n"
            "  all ranks average their gradients by an allreduce, which needs no server and sends each gradient once: "
            "use mpi");
}

TEST_F(Validation, AnUnknownBackend) {
  estimator_.distributed_training = "mpii";
  EXPECT_EQ(problem().what, "distributed_training is \"mpii\"; did you mean mpi?");
}

TEST_F(Validation, BothEntryScriptAndCommand) {
  estimator_.command = "sleep 1";
  EXPECT_EQ(problem().what, "entry_script and command are both given: \"train.py\" and \"sleep 1\"");
}

TEST_F(Validation, NeitherEntryScriptNorCommand) {
  estimator_.entry_script.clear();
  EXPECT_EQ(problem().message(),
            "there is nothing to run: neither entry_script nor command is given\n  for example: lockstep submit -- "
            "train.py --epochs 2");
}

TEST_F(Validation, ParametersOfACommand) {
  estimator_.entry_script.clear();
  estimator_.command = "sleep";
  estimator_.script_params = {{"1", ""}};
  EXPECT_EQ(problem().what, "script_params belong to an entry_script; a command holds its own words");
}

TEST_F(Validation, MissingEntryScriptNamesPlacesAndNeighbours) {
  estimator_.entry_script = "trian.py";
  const Error error = problem({{"entry-script", "job.ini:1"}});
  EXPECT_EQ(error.where, "job.ini:1");
  EXPECT_EQ(error.what, "there is no entry script \"trian.py\"");
  EXPECT_EQ(error.hint.rfind("looked for " + (source_.path() / "trian.py").string() + ", on PATH (", 0), 0u)
      << error.hint;
  EXPECT_TRUE(error.hint.ends_with("; did you mean train.py?")) << error.hint;
}

TEST_F(Validation, MissingSourceDirectory) {
  estimator_.source_directory = source_.path() / "nowhere";
  EXPECT_EQ(problem().what, "source_directory " + (source_.path() / "nowhere").string() + " does not exist");
  estimator_.source_directory = source_.path() / "train.py";
  EXPECT_EQ(problem().what, "source_directory " + (source_.path() / "train.py").string() + " is not a directory");
}

TEST_F(Validation, BadExperimentName) {
  estimator_.experiment = "a/b";
  EXPECT_EQ(problem().message(),
            "\"a/b\" cannot name an experiment\n  use letters, digits and . _ -, beginning with a letter or digit, at "
            "most 128");
}

TEST_F(Validation, NegativeDurationsAndCounts) {
  estimator_.max_run_duration_seconds = -60;
  EXPECT_EQ(problem().message(),
            "max_run_duration_seconds is -60, must be at least 1\n  leave it out for a run without a limit");
  estimator_.max_run_duration_seconds.reset();
  estimator_.max_restarts = -1;
  EXPECT_EQ(problem().what, "max_restarts is -1, must be at least 0");
  estimator_.max_restarts = 0;
  estimator_.snapshot_limit_bytes = -7;
  EXPECT_EQ(problem().what, "snapshot_limit_bytes is -7, must be at least 0");
}

TEST_F(Validation, EnvironmentVariables) {
  estimator_.environment_variables = {{"2ND", "x"}};
  EXPECT_EQ(problem().what, "\"2ND\" cannot name an environment variable");
  estimator_.environment_variables = {{"A", "1"}, {"A", "1"}, {"B", "2"}, {"B", "3"}};
  EXPECT_EQ(problem().what, "environment variable B is given two values");
  estimator_.environment_variables = {{"MY_TOKEN", "<redacted>"}};
  EXPECT_EQ(problem().message(),
            "environment variable MY_TOKEN is <redacted>, which stands for a value that was not written down\n  set "
            "MY_TOKEN where you submit and give its name alone: --environment-variables MY_TOKEN");
  for (const char* name :
       {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "LOCKSTEP_RUN_DIR", "AZUREML_RUN_ID"}) {
    estimator_.environment_variables = {{name, "7"}};
    EXPECT_EQ(problem().what,
              "environment variable " + std::string(name) + " cannot be given: Lockstep sets it for each rank");
  }
  estimator_.environment_variables = {{"LOCKSTEP_RESUME_FROM", "x"}};
  EXPECT_EQ(problem().hint, "use resume_from");
  estimator_.environment_variables = {{"MASTER_PORT", "12345"}, {"OMP_NUM_THREADS", "2"}};
  EXPECT_TRUE(validate(estimator_).empty());
}

TEST_F(Validation, AllProblemsAreReportedAtOnce) {
  estimator_.node_count = 0;
  estimator_.experiment = "";
  estimator_.entry_script = "gone";
  estimator_.max_restarts = -1;
  EXPECT_EQ(validate(estimator_).size(), 4u);
}

TEST(EstimatorOptions, AnIniFileGivesTheFields) {
  Estimator estimator;
  const auto origins = estimator_options().parse_ini(
      "experiment = cifar\nentry_script = train.py\nprocess_count_per_node = 2\nmax-run-duration-seconds = 90\nuse_gpu "
      "= true\n"
      "[script_params]\n--model = cifar_net\n--verbose =\n",
      "job.ini", &estimator);
  ASSERT_TRUE(origins) << origins.error().message();
  EXPECT_EQ(estimator.experiment, "cifar");
  EXPECT_EQ(estimator.process_count_per_node, 2);
  EXPECT_EQ(estimator.max_run_duration_seconds, 90);
  EXPECT_TRUE(estimator.use_gpu);
  EXPECT_EQ(estimator.script_params, (KeyValues{{"--model", "cifar_net"}, {"--verbose", ""}}));
  EXPECT_EQ(origins->at("process-count-per-node"), "job.ini:3");
}

// NAME alone hands the submitter's own value on; NAME= is empty.
TEST(EstimatorOptions, AVariableWithoutAValueIsTakenFromHere) {
  ::setenv("LOCKSTEP_TEST_HERE", "a = b", 1);
  ::unsetenv("LOCKSTEP_TEST_GONE");
  const KeyValues expected{{"LOCKSTEP_TEST_HERE", "a = b"}, {"EMPTY", ""}};
  Estimator typed, written;
  ASSERT_TRUE(estimator_options().parse_command_line(
      {"--environment-variables", "LOCKSTEP_TEST_HERE", "--environment-variables", "EMPTY="}, &typed));
  EXPECT_EQ(typed.environment_variables, expected);
  ASSERT_TRUE(estimator_options().parse_ini("[environment_variables]\nLOCKSTEP_TEST_HERE\nEMPTY =\n", "f", &written));
  EXPECT_EQ(written.environment_variables, expected);
  const auto gone = estimator_options().parse_ini("[environment_variables]\nLOCKSTEP_TEST_GONE\n", "job.ini", &written);
  ASSERT_FALSE(gone);
  EXPECT_EQ(
      gone.error().message(),
      "job.ini:2: environment_variables: 'LOCKSTEP_TEST_GONE' is not set here: write LOCKSTEP_TEST_GONE=VALUE, or "
      "LOCKSTEP_TEST_GONE= for an empty one");
}

TEST(EstimatorOptions, ConflictingValuesInOneSourceAreAnError) {
  Estimator estimator;
  const auto result = estimator_options().parse_ini(
      "process_count_per_node = 2\nnode_count = 1\nprocess-count-per-node = 4\n", "job.ini", &estimator);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::usage);
  EXPECT_EQ(result.error().where, "job.ini:3");
  EXPECT_EQ(result.error().what, "process-count-per-node is given twice: '2' and '4' (first at job.ini:1)");
}

TEST(EstimatorOptions, TheCommandLineOverridesTheFile) {
  Estimator estimator;
  ASSERT_TRUE(estimator_options().parse_ini("process_count_per_node = 2\n", "job.ini", &estimator));
  ASSERT_TRUE(estimator_options().parse_command_line({"--process-count-per-node", "4"}, &estimator));
  EXPECT_EQ(estimator.process_count_per_node, 4);
}

TEST(EstimatorOptions, AnUnknownFieldNamesTheNearest) {
  Estimator estimator;
  const auto result = estimator_options().parse_ini("node_cuont = 2\n", "job.ini", &estimator);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(), "job.ini:1: unknown field node_cuont; did you mean node_count?");
}

TEST(EstimatorJson, GivesTheEstimatorAgain) {
  Estimator estimator;
  estimator.source_directory = "/src";
  estimator.entry_script = "train.py";
  estimator.script_params = {{"--z", "1"}, {"--a", ""}, {"--z", "2"}};
  estimator.experiment = "e";
  estimator.node_count = 3;
  estimator.process_count_per_node = 5;
  estimator.distributed_training = "mpi";
  estimator.environment_variables = {{"B", "2"}, {"A", "1"}};
  estimator.use_gpu = true;
  estimator.max_run_duration_seconds = 7;
  estimator.max_restarts = 2;
  estimator.tags = {{"t", "v"}};
  estimator.resume_from = "latest";
  estimator.snapshot_limit_bytes = 11;
  estimator.snapshot_limit_files = 13;
  const auto json = to_json(estimator);
  const Estimator again = estimator_from_json(nlohmann::ordered_json::parse(json.dump()));
  EXPECT_EQ(to_json(again), json);
  EXPECT_EQ(again.script_params, estimator.script_params);
  EXPECT_EQ(again.max_run_duration_seconds, 7);
  EXPECT_EQ(again.environment_variables, estimator.environment_variables);
}

TEST(EstimatorJson, SecretsAreNotWritten) {
  Estimator estimator;
  estimator.environment_variables = {{"MY_API_KEY", "s3cr3t"}, {"hf_token", "s3cr3t"}, {"PLAIN", "seen"}};
  const std::string text = to_json(estimator).dump();
  EXPECT_EQ(text.find("s3cr3t"), std::string::npos);
  EXPECT_NE(text.find("seen"), std::string::npos);
  EXPECT_THROW((void)estimator_from_json({{"node_count", "two"}}), Failure);
}

class EntryScript : public testing::Test {
 protected:
  Result<Estimator> resolve(const std::string& script) {
    Estimator estimator;
    estimator.source_directory = root_.path() / "src";
    estimator.entry_script = script;
    return resolve_entry_script(estimator, places_);
  }
  Result<Estimator> resolve_command(const std::string& command) {
    Estimator estimator;
    estimator.source_directory = root_.path() / "src";
    estimator.command = command;
    return resolve_entry_script(estimator, places_);
  }

  EntryScript() {
    write_file(root_.path() / "src/both", "#!/bin/sh\n", 0755);
    write_file(root_.path() / "src/deep/run.sh", "true\n");
    write_file(root_.path() / "src/plain.txt", "text\n");
    write_file(root_.path() / "path/both", "#!/bin/sh\n", 0755);
    write_file(root_.path() / "path/tool", "#!/bin/sh\n", 0755);
    write_file(root_.path() / "bin/tool", "#!/bin/sh\n", 0755);
    write_file(root_.path() / "bin/lockstep-train", "#!/bin/sh\n", 0755);
    places_ = {(root_.path() / "path").string() + ":/nowhere", root_.path() / "bin"};
  }

  TemporaryDirectory root_;
  ProgramPlaces places_;
};

TEST_F(EntryScript, TheSourceDirectoryThenPathThenBesideLockstep) {
  EXPECT_EQ(resolve("both").value().entry_script, "both");
  EXPECT_EQ(resolve("tool").value().entry_script, (root_.path() / "path/tool").string());
  EXPECT_EQ(resolve("lockstep-train").value().entry_script, (root_.path() / "bin/lockstep-train").string());
  EXPECT_EQ(resolve("./deep/../deep/run.sh").value().entry_script, "deep/run.sh");
  EXPECT_EQ(resolve((root_.path() / "path/tool").string()).value().entry_script, (root_.path() / "path/tool").string());
}

TEST_F(EntryScript, NothingOfThisName) {
  const Error error = resolve("deep/rum.sh").error();
  EXPECT_EQ(error.what, "there is no entry script \"deep/rum.sh\"");
  EXPECT_EQ(error.hint, "looked for " + (root_.path() / "src/deep/rum.sh").string() + "; did you mean deep/run.sh?");
  EXPECT_EQ(resolve("no-such").error().hint, "looked for " + (root_.path() / "src/no-such").string() + ", on PATH (" +
                                                 places_.path + ") and in " + places_.programs.string());
  EXPECT_FALSE(resolve("deep"));  // a folder
}

TEST_F(EntryScript, OutsideTheSourceDirectory) {
  EXPECT_EQ(resolve("../path/tool").error().what, "\"../path/tool\" lies outside the source directory");
}

TEST_F(EntryScript, NotExecutable) {
  const Error error = resolve("plain.txt").error();
  EXPECT_EQ(error.what, (root_.path() / "src/plain.txt").string() + " is not executable, and neither .py nor .sh");
  EXPECT_EQ(error.hint, "chmod +x " + (root_.path() / "src/plain.txt").string());
}

TEST_F(EntryScript, TheFirstWordOfACommand) {
  EXPECT_EQ(resolve_command("tool --x 'a b'").value().command, "tool --x 'a b'");
  EXPECT_EQ(resolve_command("lockstep-train  --x 'a b'").value().command,
            (root_.path() / "bin/lockstep-train").string() + "  --x 'a b'");
  EXPECT_EQ(resolve_command("./both").value().command, "./both");
  EXPECT_EQ(resolve_command("$PROGRAM x").value().command, "$PROGRAM x");
  EXPECT_EQ(resolve_command("both-of x").error().what, "there is no program \"both-of\"");
  EXPECT_EQ(resolve_command("deep/rum.sh").error().where, "command");
  EXPECT_EQ(resolve_command("  ").error().what, "command holds no word");
}

}  // namespace
}  // namespace lockstep
