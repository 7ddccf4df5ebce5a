#include "lockstep/launchers/launch_plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

LocalMachine machine_with(int cores) {
  LocalMachine machine;
  machine.cores = cores;
  machine.mpirun = "/opt/mpi/bin/mpirun";
  machine.mpi_version = "Open MPI 4.1.4";
  machine.lockstep = "/usr/bin/lockstep";
  machine.python = "/venv/bin/python3";
  machine.bash = "/bin/bash";
  return machine;
}

Estimator estimator_of(std::string entry, int ranks) {
  Estimator estimator;
  estimator.entry_script = std::move(entry);
  estimator.process_count_per_node = ranks;
  return estimator;
}

TEST(LaunchPlan, OneRankNeedsNoMpi) {
  Estimator estimator = estimator_of("train", 1);
  estimator.script_params = {{"--epochs", "2"}, {"--verbose", ""}, {"", "positional"}, {"", ""}};
  LocalMachine machine = machine_with(4);
  machine.mpirun.clear();
  std::vector<std::string> warnings;
  const LaunchPlan plan = plan_local_launch(estimator, machine, &warnings).value();
  EXPECT_EQ(plan.rank_argv, (Words{"./train", "--epochs", "2", "--verbose", "positional", ""}));
  EXPECT_EQ(plan.launch_argv, (Words{"/usr/bin/lockstep", "rank-exec", "--alone", "--", "./train", "--epochs", "2",
                                     "--verbose", "positional", ""}));
  EXPECT_TRUE(warnings.empty());
}

TEST(LaunchPlan, RanksThatFillTheMachineAreBoundOneToACore) {
  const LaunchPlan plan = plan_local_launch(estimator_of("/usr/bin/lockstep-train", 6), machine_with(6)).value();
  EXPECT_EQ(plan.launch_argv,
            (Words{"/opt/mpi/bin/mpirun", "--host", "localhost:6", "-np", "6", "--map-by", "core", "--bind-to", "core",
                   "/usr/bin/lockstep", "rank-exec", "--", "/usr/bin/lockstep-train"}));
}

TEST(LaunchPlan, RanksThatLeaveCoresFreeAreNotBound) {
  LocalMachine machine = machine_with(6);
  const Words unbound{"/opt/mpi/bin/mpirun", "--host",    "localhost:5", "-np", "5", "--bind-to", "none",
                      "/usr/bin/lockstep",   "rank-exec", "--",          "./a"};
  EXPECT_EQ(plan_local_launch(estimator_of("a", 5), machine).value().launch_argv, unbound);
  machine.cores = 5;
  machine.all_cores = false;  // a mask allows five of more
  EXPECT_EQ(plan_local_launch(estimator_of("a", 5), machine).value().launch_argv, unbound);
}

TEST(LaunchPlan, TooManyRanksAreAllowedAndSaid) {
  std::vector<std::string> warnings;
  const LaunchPlan plan = plan_local_launch(estimator_of("a", 5), machine_with(2), &warnings).value();
  EXPECT_EQ(plan.launch_argv, (Words{"/opt/mpi/bin/mpirun", "--host", "localhost:2", "-np", "5", "--bind-to", "none",
                                     "--oversubscribe", "/usr/bin/lockstep", "rank-exec", "--", "./a"}));
  EXPECT_EQ(warnings, (Words{"5 ranks on 2 cores: they take turns, expect no speed-up from the surplus"}));
}

TEST(LaunchPlan, AnotherMpiGetsOnlyWhatAllUnderstand) {
  LocalMachine machine = machine_with(2);
  machine.mpi_version = "MPICH 4.0.2";
  const LaunchPlan plan = plan_local_launch(estimator_of("a", 3), machine).value();
  EXPECT_EQ((Words(plan.launch_argv.begin(), plan.launch_argv.begin() + 4)),
            (Words{"/opt/mpi/bin/mpirun", "-n", "3", "/usr/bin/lockstep"}));
}

TEST(LaunchPlan, NodesAreSimulatedAndSaid) {
  Estimator estimator = estimator_of("a", 3);
  estimator.node_count = 2;
  std::vector<std::string> warnings;
  const LaunchPlan plan = plan_local_launch(estimator, machine_with(8), &warnings).value();
  EXPECT_EQ(plan.launch_argv[4], "6");
  EXPECT_EQ(plan.node_count, 2);
  EXPECT_EQ(warnings, (Words{"node_count is 2 and the local target is one machine: all 6 ranks run here"}));
}

TEST(LaunchPlan, MpiMayBeAskedForWithOneRankAndRefusedWithNone) {
  Estimator estimator = estimator_of("a", 1);
  estimator.distributed_training = "mpi";
  EXPECT_EQ(plan_local_launch(estimator, machine_with(4)).value().launch_argv.front(), "/opt/mpi/bin/mpirun");
  estimator.distributed_training = "none";
  EXPECT_EQ(plan_local_launch(estimator, machine_with(4)).value().launch_argv.front(), "/usr/bin/lockstep");
}

TEST(LaunchPlan, ScriptsGetTheirInterpreter) {
  EXPECT_EQ(plan_local_launch(estimator_of("src/train.py", 1), machine_with(1)).value().rank_argv,
            (Words{"/venv/bin/python3", "src/train.py"}));
  EXPECT_EQ(plan_local_launch(estimator_of("go.sh", 1), machine_with(1)).value().rank_argv,
            (Words{"/bin/bash", "go.sh"}));
}

TEST(LaunchPlan, ACommandIsSplitWithoutAShell) {
  Estimator estimator;
  estimator.command = "python3 -c 'print(\"$HOME\", 1)'  --out \"$RANK dir\" a\\ b ''";
  EXPECT_EQ(plan_local_launch(estimator, machine_with(1)).value().rank_argv,
            (Words{"python3", "-c", "print(\"$$HOME\", 1)", "--out", "$RANK dir", "a b", ""}));
  estimator.command = "echo 'open";
  EXPECT_EQ(plan_local_launch(estimator, machine_with(1)).error().what,
            "\"echo 'open\" cannot be split into words: a ' is not closed");
}

TEST(LaunchPlan, WhatIsMissingIsNamed) {
  LocalMachine bare = machine_with(2);
  bare.mpirun = bare.python = bare.bash = "";
  const auto error = [&](const Estimator& estimator) { return plan_local_launch(estimator, bare).error(); };
  EXPECT_EQ(error(estimator_of("a", 2)).what, "2 ranks need mpirun, which is not on PATH");
  EXPECT_EQ(error(estimator_of("a.py", 1)).what, "entry_script a.py needs python3, which is not on PATH");
  EXPECT_EQ(error(estimator_of("a.sh", 1)).what, "entry_script a.sh needs bash, which is not on PATH");
  Estimator gpu = estimator_of("a", 1);
  gpu.use_gpu = true;
  EXPECT_EQ(error(gpu).what, "use_gpu asks for a GPU, and this machine has none");
  EXPECT_EQ(error(gpu).kind, ErrorKind::environment);
  bare.lockstep = "";
  EXPECT_EQ(error(estimator_of("a", 1)).what, "the program lockstep is neither beside this one nor on PATH");
}

TEST(LaunchPlan, AnUnknownTargetIsRefusedWithTheNearestName) {
  Estimator estimator = estimator_of("a", 1);
  estimator.compute_target = "loacl";
  const Error error = plan_local_launch(estimator, machine_with(1)).error();
  EXPECT_EQ(error.kind, ErrorKind::usage);
  EXPECT_EQ(error.what, "unknown compute target \"loacl\"; did you mean local?");
}

TEST(LaunchPlan, EnvironmentDefaultsGiveWay) {
  Estimator estimator = estimator_of("a", 1);
  LocalMachine machine = machine_with(8);
  EXPECT_EQ(plan_local_launch(estimator, machine).value().environment.at("OMP_NUM_THREADS"), "1");
  machine.omp_num_threads = "3";
  EXPECT_EQ(plan_local_launch(estimator, machine).value().environment.at("OMP_NUM_THREADS"), "3");
  estimator.environment_variables = {{"OMP_NUM_THREADS", "7"}, {"MY", "x=y"}};
  const LaunchPlan plan = plan_local_launch(estimator, machine).value();
  EXPECT_EQ(plan.environment.at("OMP_NUM_THREADS"), "7");
  EXPECT_EQ(plan.environment.at("MY"), "x=y");
}

TEST(LaunchPlan, RootIsToldToMpiAndToTheUser) {
  LocalMachine machine = machine_with(2);
  EXPECT_FALSE(plan_local_launch(estimator_of("a", 2), machine).value().environment.count("OMPI_ALLOW_RUN_AS_ROOT"));
  machine.root = true;
  std::vector<std::string> warnings;
  const LaunchPlan plan = plan_local_launch(estimator_of("a", 2), machine, &warnings).value();
  EXPECT_EQ(plan.environment.at("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1");
  EXPECT_EQ(warnings, (Words{"running as root: Open MPI is told to allow it"}));
  warnings.clear();
  plan_local_launch(estimator_of("a", 1), machine, &warnings).value();
  EXPECT_EQ(warnings, Words{});  // no mpirun, no word of it
}

TEST(LaunchPlan, SecretsReachTheRanksButNotThePlan) {
  Estimator estimator = estimator_of("a", 1);
  estimator.environment_variables = {{"WANDB_API_KEY", "s3cr3t"}, {"PLAIN", "seen"}};
  const LaunchPlan plan = plan_local_launch(estimator, machine_with(1)).value();
  EXPECT_EQ(to_json(plan).dump().find("s3cr3t"), std::string::npos);
  EXPECT_EQ(describe(plan).find("s3cr3t"), std::string::npos);
  const auto environment = environment_of_ranks(plan, {{"WANDB_API_KEY", "s3cr3t"}, {"WANDB_API_KEY_2", "other"}});
  EXPECT_EQ(environment.at("WANDB_API_KEY"), "s3cr3t");
  EXPECT_FALSE(environment.count("WANDB_API_KEY_2"));
}

TEST(LaunchPlan, OnlyTheAllowListIsInherited) {
  LaunchPlan plan;
  plan.inherited = {"PATH", "LC_*", "OMPI_MCA_*"};
  plan.environment = {{"LC_ALL", "C.UTF-8"}};
  const auto environment = environment_of_ranks(plan, {{"PATH", "/bin"},
                                                       {"PATHOLOGY", "x"},
                                                       {"LC_ALL", "de"},
                                                       {"LC_TIME", "fr"},
                                                       {"LD", "x"},
                                                       {"OMPI_MCA_btl", "self"},
                                                       {"OMPI_COMM_WORLD_RANK", "3"}});
  EXPECT_EQ(environment, (std::map<std::string, std::string>{
                             {"PATH", "/bin"}, {"LC_ALL", "C.UTF-8"}, {"LC_TIME", "fr"}, {"OMPI_MCA_btl", "self"}}));
}

TEST(LaunchPlan, PrependedFoldersStandBeforeWhatRanksWouldHaveHad) {
  LaunchPlan plan;
  plan.inherited = {"PATH"};
  plan.environment = {{"PYTHONPATH", "mine"}};
  plan.prepended = {{"PATH", "/venv/bin"}, {"PYTHONPATH", "/a:/b"}, {"OTHER", "/c"}};
  const auto environment = environment_of_ranks(plan, {{"PATH", "/bin"}, {"PYTHONPATH", "/not/inherited"}});
  EXPECT_EQ(environment, (std::map<std::string, std::string>{
                             {"PATH", "/venv/bin:/bin"}, {"PYTHONPATH", "/a:/b:mine"}, {"OTHER", "/c"}}));
}

TEST(LaunchPlan, JsonGivesThePlanAgain) {
  Estimator estimator = estimator_of("a", 2);
  estimator.script_params = {{"--name", "caf\xC3\xA9 'x'"}};
  LaunchPlan plan = plan_local_launch(estimator, machine_with(3)).value();
  plan.prepended = {{"PATH", "/venv/bin"}};
  const auto json = to_json(plan);
  EXPECT_EQ(to_json(launch_plan_from_json(json)), json);
  EXPECT_EQ(launch_plan_from_json(json).rank_argv, plan.rank_argv);
  EXPECT_THROW((void)launch_plan_from_json(nlohmann::ordered_json{{"target", "local"}}), Failure);
}

TEST(LaunchPlan, QuotedLinesAreReadBackByAShell) {
  const Words argv{"printf", "%s\\n",     "plain", "two words", "it's", "$HOME", "a\"b",       "back\\slash",
                   "",       "new\nline", "*",     "~",         "#c",   "a;b",   "caf\xC3\xA9"};
  std::string expected;
  for (std::size_t i = 2; i < argv.size(); ++i) expected += argv[i] + "\n";
  const auto result = capture({.argv = {"sh", "-c", shell_quote(argv)}}).value();
  EXPECT_EQ(result.output, expected);
}

TEST(LocalMachine, IsProbed) {
  const LocalMachine machine = probe_local_machine();
  EXPECT_GE(machine.cores, 1);
  if (!machine.mpirun.empty()) {
    EXPECT_FALSE(machine.mpi_version.empty());
  }
  EXPECT_EQ(machine.bash.front(), '/');
}

}  // namespace
}  // namespace lockstep
