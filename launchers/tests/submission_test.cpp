#include "lockstep/launchers/submission.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/launchers/experiment.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class SubmissionTest : public testing::Test {
 protected:
  SubmissionTest() {
    put("train.sh", "echo hello\n");
    estimator_.source_directory = source_;
    estimator_.entry_script = "train.sh";
    estimator_.experiment = "exp";
    machine_.cores = 4;
    machine_.mpirun = "/opt/mpirun";
    machine_.mpi_version = "Open MPI 4.1.4";
    machine_.lockstep = "/bin/true";  // stands for the supervisor: these tests are about what comes before it
    machine_.bash = "/bin/bash";
  }

  // Takes each run up, and does no more.
  void use_idle_supervisor() {
    put("../supervisor", "#!/bin/sh\n: > supervisor.json\n");
    machine_.lockstep = directory_.path() / "supervisor";
  }

  void put(const std::string& path, const std::string& text, int mode = 0755) {
    fs::create_directories((source_ / path).parent_path());
    std::ofstream(source_ / path) << text;
    ::chmod((source_ / path).c_str(), static_cast<mode_t>(mode));
  }

  Result<Submission> plan(const OptionTableBase::Origins& origins = {}) {
    return plan_submission(estimator_, machine_, &workspace_, origins);
  }

  Error problem(const OptionTableBase::Origins& origins = {}) {
    const auto planned = plan(origins);
    EXPECT_FALSE(planned);
    return planned ? Error{} : planned.error();
  }

  std::vector<fs::path> run_directories() {
    std::vector<fs::path> found;
    if (fs::exists(workspace_.runs() / "exp"))
      for (const auto& entry : fs::directory_iterator(workspace_.runs() / "exp")) found.push_back(entry.path());
    return found;
  }

  TemporaryDirectory directory_;
  fs::path source_ = directory_.path() / "src";
  Workspace workspace_ = Workspace::create(directory_.path(), "w").value();
  Estimator estimator_;
  LocalMachine machine_;
};

TEST_F(SubmissionTest, APlanIsResolvedAndWritesNothing) {
  estimator_.process_count_per_node = 3;
  estimator_.source_directory = fs::path("/proc/self/cwd") / fs::relative(source_);
  const Submission planned = plan().value();
  EXPECT_EQ(planned.estimator.source_directory, source_);
  EXPECT_EQ(planned.estimator.distributed_training, "mpi");
  EXPECT_EQ(planned.launch.rank_argv, (std::vector<std::string>{"/bin/bash", "train.sh"}));
  EXPECT_EQ(planned.snapshot.files.size(), 1u);
  EXPECT_TRUE(run_directories().empty());
}

TEST_F(SubmissionTest, AllProblemsAreToldAtOnceWithTheirPlaces) {
  estimator_.node_count = 0;
  estimator_.compute_target = "lcoal";
  estimator_.max_restarts = -3;
  const Error error = problem({{"node-count", "job.ini:4"}, {"compute-target", "command line"}});
  EXPECT_EQ(error.kind, ErrorKind::usage);
  EXPECT_EQ(error.what,
            "3 problems:\n"
            "  1. job.ini:4: node_count is 0, must be at least 1\n"
            "       it is the number of machines\n"
            "  2. max_restarts is -3, must be at least 0\n"
            "       0 means that a failed run is not started again\n"
            "  3. command line: unknown compute target \"lcoal\"; did you mean local?");
}

TEST_F(SubmissionTest, AnUnknownTarget) {
  estimator_.compute_target = "slurmm";
  EXPECT_EQ(problem({{"compute-target", "job.ini:2"}}).message(),
            "job.ini:2: unknown compute target \"slurmm\"; known are local");
}

TEST_F(SubmissionTest, ASnapshotAboveItsLimitAndAMissingMpiAreToldTogether) {
  put("data", std::string(2000, 'x'));
  estimator_.snapshot_limit_bytes = 1000;
  estimator_.process_count_per_node = 2;
  machine_.mpirun.clear();
  const Error error = problem();
  EXPECT_EQ(error.what.rfind("2 problems:\n  1. 2 ranks need mpirun, which is not on PATH\n", 0), 0u) << error.what;
  EXPECT_NE(error.what.find("  2. " + source_.string() + ": too large for a snapshot: 2.0 kB in 2 files; "),
            std::string::npos)
      << error.what;
  EXPECT_NE(error.what.find("the line /data in "), std::string::npos) << error.what;
}

TEST_F(SubmissionTest, AMissingMpiAloneIsTheMachinesFault) {
  estimator_.process_count_per_node = 2;
  machine_.mpirun.clear();
  EXPECT_EQ(problem().kind, ErrorKind::environment);
}

TEST_F(SubmissionTest, AProgramThatTheIgnoreFileLeavesOut) {
  put("build/train", "#!/bin/sh\n");
  put(".gitignore", "/build/\n");
  estimator_.entry_script = "build/train";
  const Error error = problem({{"entry-script", "job.ini:1"}});
  EXPECT_EQ(error.message(),
            "job.ini:1: \"build/train\" is not part of the snapshot: .gitignore leaves it out\n"
            "  write a .lockstepignore without it: it is used instead of .gitignore");
  put(".lockstepignore", "");  // the advice works
  EXPECT_TRUE(plan());
  estimator_.entry_script.clear();
  estimator_.command = "./build/train --x";
  fs::remove(source_ / ".lockstepignore");
  EXPECT_EQ(problem().what, "\"./build/train\" is not part of the snapshot: .gitignore leaves it out");
}

TEST_F(SubmissionTest, AProgramBehindALinkIsPartOfTheSnapshot) {
  fs::create_symlink("train.sh", source_ / "go.sh");
  fs::create_directory(source_ / "deep");
  fs::create_directory_symlink("../", source_ / "deep/up");
  for (const char* script : {"go.sh", "deep/up/train.sh"}) {
    estimator_.entry_script = script;
    EXPECT_TRUE(plan()) << script;
  }
}

TEST_F(SubmissionTest, DataSetsBecomeInputsOfThatVersion) {
  put("../cifar.h5", "data");
  DatasetRecord record;
  record.name = "cifar10";
  record.path = directory_.path() / "cifar.h5";
  record.kind = "hdf5";
  record.sha256 = "12ab";
  record.bytes = 4;
  ASSERT_TRUE(register_dataset(workspace_, record));
  estimator_.script_params = {{"--data", "dataset:cifar10"},
                              {"--more=dataset:cifar10@1:mount", ""},
                              {"--text", "a dataset:cifar10"},
                              {"--copy", "input:copy"}};
  estimator_.inputs = {{"copy", "cifar10:download:to=data/train.h5"}};
  const Submission planned = plan().value();
  EXPECT_EQ(planned.estimator.script_params, (KeyValues{{"--data", "dataset:cifar10@1"},
                                                        {"--more=dataset:cifar10@1:mount", ""},
                                                        {"--text", "a dataset:cifar10"},
                                                        {"--copy", "input:copy"}}));
  EXPECT_EQ(planned.launch.rank_argv,
            (std::vector<std::string>{"/bin/bash", "train.sh", "--data", "${LOCKSTEP_INPUT_cifar10}",
                                      "--more=${LOCKSTEP_INPUT_cifar10}", "--text", "a dataset:cifar10", "--copy",
                                      "${LOCKSTEP_INPUT_copy}"}));
  ASSERT_EQ(planned.launch.inputs.size(), 2u);
  const Json inputs = planned_record(planned).at("input_datasets");
  EXPECT_EQ(inputs.at(0), (Json{{"name", "copy"},
                                {"dataset", "cifar10"},
                                {"version", 1},
                                {"mode", "download"},
                                {"source", record.path.string()},
                                {"kind", "hdf5"},
                                {"sha256", "12ab"},
                                {"bytes", 4},
                                {"to", "data/train.h5"}}));
  EXPECT_EQ(inputs.at(1).at("mode"), "mount");
  const Json json = to_json(planned.launch);
  EXPECT_EQ(to_json(launch_plan_from_json(json)), json);
  EXPECT_EQ(std::count(planned.launch.launch_argv.begin(), planned.launch.launch_argv.end(), "--inputs"), 1);
  estimator_.script_params = {{"--data", "dataset:cifar"}};
  const Error error = problem({{"script-params", "job.ini:7"}});
  EXPECT_EQ(error.where, "job.ini:7");
  EXPECT_NE(error.message().find("cifar10"), std::string::npos) << error.message();
}

TEST_F(SubmissionTest, RanksRunInTheEnvironmentThatIsAskedFor) {
  estimator_.pip_packages = {"numpy"};
  const Submission planned = plan().value();
  ASSERT_TRUE(planned.environment);
  EXPECT_EQ(planned.environment->build.files.at("requirements.txt"), "numpy\n");
  EXPECT_EQ(planned.launch.prepended.at("PATH"), (planned.environment->build.directory / "venv/bin").string());
  EXPECT_EQ(to_json(planned).at("environment"), planned_record(planned).at("environment"));
}

TEST_F(SubmissionTest, AnEnvironmentThatIsNotThereIsNamedWhereItWasWritten) {
  estimator_.environment_definition = "lockstep-sklaern";
  const Error error = problem({{"environment-definition", "job.ini:2"}});
  EXPECT_EQ(error.where, "job.ini:2");
  EXPECT_NE(error.what.find("did you mean lockstep-sklearn"), std::string::npos) << error.what;
}

// What is given again makes the same plan, whatever was registered or changed meanwhile.
TEST_F(SubmissionTest, TheEstimatorAsGivenMakesTheSamePlan) {
  put("../data", "1", 0644);
  DatasetRecord record;
  record.name = "set";
  record.path = directory_.path() / "data";
  ASSERT_TRUE(register_dataset(workspace_, record));
  estimator_.script_params = {{"--data", "dataset:set:download"}, {"--verbose", ""}, {"", ""}};
  estimator_.distributed_training = "mpi:2x1";
  estimator_.environment_variables = {{"A", "1"}};
  const Submission first = plan().value();
  record.sha256 = "another";
  ASSERT_EQ(register_dataset(workspace_, record)->version, 2);
  const Estimator defaults;
  const std::string ini = estimator_options().to_ini(&first.as_given, &defaults);
  estimator_ = {};
  ASSERT_TRUE(estimator_options().parse_ini(ini, "again.ini", &estimator_)) << ini;
  const Submission second = plan().value();
  EXPECT_EQ(to_json(second.launch), to_json(first.launch));
  EXPECT_EQ(to_json(second.as_given), to_json(first.as_given));
  EXPECT_EQ(second.launch.inputs.front().version, 1);
}

TEST_F(SubmissionTest, TheRunToResumeFromBecomesItsDirectory) {
  const RunDirectory earlier = RunDirectory::create(workspace_, "exp").value();
  earlier.write_record({{"command", "x"}});
  estimator_.resume_from = "latest";
  EXPECT_EQ(plan()->estimator.resume_from, earlier.path());
  put("../step.h5", "checkpoint");
  estimator_.resume_from = fs::relative(directory_.path() / "step.h5");
  EXPECT_EQ(plan()->estimator.resume_from, directory_.path() / "step.h5");
  estimator_.resume_from = "nothing_like_it";
  EXPECT_EQ(problem({{"resume-from", "command line"}})
                .message()
                .rfind("command line: nothing to resume from: \"nothing_like_it\" is no file, and there is no run ", 0),
            0u);
}

TEST_F(SubmissionTest, ARunHoldsAllThatItWasStartedFrom) {
  use_idle_supervisor();
  put("sub/data.txt", "content", 0644);
  estimator_.script_params = {{"--epochs", "2"}, {"--fast", ""}};
  estimator_.environment_variables = {{"API_KEY", "s3cr3t"}, {"PLAIN", "seen"}};
  estimator_.tags = {{"stage", "early"}};
  estimator_.process_count_per_node = 2;
  const RunDirectory run = execute(plan().value(), workspace_, machine_,
                                   {"lockstep", "submit", "--environment-variables=API_KEY=s3cr3t", "a b"});
  const Json record = run.record();
  EXPECT_EQ(record.at("id"), run.id());
  EXPECT_EQ(record.at("experiment"), "exp");
  EXPECT_EQ(record.at("command"), "train.sh --epochs 2 --fast");
  EXPECT_EQ(record.at("submit_command"), "lockstep submit '--environment-variables=API_KEY=<redacted>' 'a b'");
  EXPECT_EQ(record.at("snapshot").at("files"), 2);
  EXPECT_EQ(record.at("snapshot").at("digest"), plan()->snapshot.digest);
  EXPECT_EQ(estimator_from_json(record.at("estimator")).script_params, estimator_.script_params);
  EXPECT_EQ(launch_plan_from_json(record.at("launch_plan")).environment.at("PLAIN"), "seen");
  EXPECT_EQ(read_file(run.path() / "run.json").find("s3cr3t"), std::string::npos);
  EXPECT_EQ(Json::parse(read_file(run.path() / "tags.json")), (Json{{"stage", "early"}}));
  const RunSummary summary = run.summary();
  EXPECT_EQ(summary.process_count_per_node, 2);
  EXPECT_EQ(summary.command, "train.sh --epochs 2 --fast");
}

TEST_F(SubmissionTest, RanksWorkInACopyWithTheRunsOutputs) {
  use_idle_supervisor();
  put("outputs/old", "of an earlier time");
  const RunDirectory run = execute(plan().value(), workspace_, machine_, {});
  EXPECT_EQ(read_file(run.path() / "snapshot/train.sh"), "echo hello\n");
  EXPECT_EQ(read_file(run.path() / "work/train.sh"), "echo hello\n");
  std::ofstream(run.path() / "work/train.sh") << "changed by a rank";
  std::ofstream(run.path() / "work/outputs/model") << "m";
  EXPECT_EQ(read_file(run.path() / "snapshot/train.sh"), "echo hello\n");
  EXPECT_EQ(read_file(run.path() / "outputs/model"), "m");
  EXPECT_FALSE(fs::exists(run.path() / "outputs/old"));
  EXPECT_EQ(fs::read_symlink(run.path() / "work/logs"), "../logs");
}

TEST_F(SubmissionTest, TheSupervisorIsDetachedAndGetsTheSecrets) {
  const fs::path told = directory_.path() / "told";
  put("../supervisor",
      "#!/bin/sh\n: > supervisor.json\n{ echo \"$1 $2\"; pwd; echo $API_KEY; cut -d' ' -f1,6 /proc/$$/stat; readlink "
      "/proc/self/fd/0; } > " +
          told.string() + ".new\nmv " + told.string() + ".new " + told.string() + "\n");
  machine_.lockstep = directory_.path() / "supervisor";
  estimator_.environment_variables = {{"API_KEY", "s3cr3t"}};
  const RunDirectory run = execute(plan().value(), workspace_, machine_, {});
  while (!fs::exists(told)) ::usleep(1000);  // ctest ends the test if it never comes
  std::ifstream file(told);
  std::string words, where, key, pid, session, input;
  std::getline(file, words);
  std::getline(file, where);
  std::getline(file, key);
  file >> pid >> session >> input;
  EXPECT_EQ(words, "supervise " + run.path().string());
  EXPECT_EQ(where, run.path());
  EXPECT_EQ(key, "s3cr3t");
  EXPECT_EQ(pid, session);  // the leader of a session of its own
  EXPECT_EQ(input, "/dev/null");
}

TEST_F(SubmissionTest, ASourceThatChangesMeanwhileIsRecordedAsItIsCopied) {
  use_idle_supervisor();
  const Submission planned = plan().value();
  put("train.sh", "echo something else\n");  // between the plan and the copy
  const RunDirectory run = execute(planned, workspace_, machine_, {});
  EXPECT_EQ(read_file(run.path() / "work/train.sh"), "echo something else\n");
  const Json record = run.record();
  EXPECT_EQ(record.at("snapshot").at("digest"), plan()->snapshot.digest);
  EXPECT_EQ(record.at("snapshot").at("bytes"), 20);
  EXPECT_EQ(record.at("command"), "train.sh");
}

TEST_F(SubmissionTest, AFailureBeforeTheStartLeavesNoRun) {
  const Submission planned = plan().value();
  fs::remove(source_ / "train.sh");
  try {
    execute(planned, workspace_, machine_, {});
    FAIL() << "it was submitted";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    EXPECT_NE(failure.error().what.find((source_ / "train.sh").string()), std::string::npos);
  }
  EXPECT_TRUE(run_directories().empty());
}

TEST_F(SubmissionTest, ASupervisorThatCannotStartMarksItFailed) {
  machine_.lockstep = "/no/such/lockstep";
  EXPECT_THROW(execute(plan().value(), workspace_, machine_, {}), Failure);
  ASSERT_EQ(run_directories().size(), 1u);
  const RunSummary summary = RunDirectory::open(run_directories().front()).value().summary();
  EXPECT_EQ(summary.cause->message,
            "the run was not started: cannot start /no/such/lockstep: No such file or directory");
}

TEST_F(SubmissionTest, ASupervisorThatEndsAtOnceMarksItFailed) {
  put("../supervisor", "#!/bin/sh\necho no such library >&2\nexit 1\n");
  machine_.lockstep = directory_.path() / "supervisor";
  try {
    execute(plan().value(), workspace_, machine_, {});
    FAIL() << "it was submitted";
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().what.find("its supervisor ended before it took the run up: no such library"),
              std::string::npos)
        << failure.error().what;
  }
  ASSERT_EQ(run_directories().size(), 1u);
  EXPECT_EQ(RunDirectory::open(run_directories().front()).value().summary().status, RunStatus::Failed);
}

TEST_F(SubmissionTest, DryRunsTellTheExactLineAndTheFiles) {
  estimator_.process_count_per_node = 4;
  for (int i = 0; i < 25; ++i) put("f" + std::to_string(10 + i), "x", 0644);
  const std::string text = describe(plan().value());
  EXPECT_NE(text.find("/opt/mpirun --host localhost:4 -np 4 --map-by core --bind-to core /bin/true rank-exec -- "
                      "/bin/bash train.sh\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("snapshot      26 files, 36 bytes of " + source_.string() + "\n  f10  1 B\n"), std::string::npos)
      << text;
  EXPECT_NE(text.find("  and 6 more\n"), std::string::npos) << text;
  const Json json = to_json(plan().value());
  EXPECT_EQ(json.at("snapshot").at("files").size(), 26u);
  EXPECT_EQ(json.at("launch_plan").at("launch_argv").at(0), "/opt/mpirun");
}

// The supervisor could only fail by it, when the user no longer looks.
TEST_F(SubmissionTest, ABadNumberOfSlotsIsFoundBeforeThereIsARun) {
  ::setenv("LOCKSTEP_SLOTS", "abc", 1);
  EXPECT_EQ(problem().what, "LOCKSTEP_SLOTS is \"abc\", not a number of at least 1");
  EXPECT_EQ(plan_submission(estimator_, machine_, nullptr).error().kind, ErrorKind::usage);
  ::unsetenv("LOCKSTEP_SLOTS");
  fs::create_directories(workspace_.root() / "compute");
  std::ofstream(workspace_.root() / "compute/local.ini") << "slotz = 3\n";
  EXPECT_EQ(problem().where, (workspace_.root() / "compute/local.ini").string() + ":1");
}

TEST_F(SubmissionTest, AnExperimentHasAName) { EXPECT_THROW(Experiment(workspace_, "a b"), Failure); }

}  // namespace
}  // namespace lockstep
