// Every rule of an estimator: what is said, where it was given, what to do.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "lockstep/core/distribution.h"
#include "lockstep/core/estimator.h"
#include "lockstep/core/framework_presets.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

struct Rule {
  const char* name;  // of the test
  std::function<void(Estimator&)> breaks;
  const char* field;  // that is to blame, with underscores
  std::string what;
  std::string hint;
};

const char* const kForms =
    "write NAME, NAME@VERSION or NAME:download; modes are :mount, :download and :direct, and :to=PATH says where below "
    "the working directory";

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all{
      {"TwoPlacesForProcesses",
       [](Estimator& e) {
         e.distributed_training = Mpi{.process_count_per_node = 2, .node_count = {}}.text();
         e.process_count_per_node = 4;
       },
       "process_count_per_node", "process_count_per_node is 4, but distributed_training = mpi:2 (job.ini) makes it 2",
       "say it in one of the two places"},
      {"TwoPlacesForNodes",
       [](Estimator& e) {
         e.distributed_training = "mpi:3x2";
         e.node_count = 2;
         e.process_count_per_node = 2;
       },
       "node_count", "node_count is 2, but distributed_training = mpi:3x2 (job.ini) makes it 3",
       "say it in one of the two places"},
      {"CountsThatAreNone", [](Estimator& e) { e.distributed_training = "mpi:2y4"; }, "distributed_training",
       "distributed_training is \"mpi:2y4\": \"2y4\" are no counts",
       "write mpi:4 for four processes on each node, or mpi:2x4 for two nodes of four"},
      {"Nccl", [](Estimator& e) { e.distributed_training = "Nccl"; }, "distributed_training",
       "distributed_training = Nccl names how gradients travel, not how ranks are started",
       "use mpi: it starts the ranks; the training program chooses the way of its gradients itself (lockstep-train "
       "--communicator nccl)"},
      {"ParameterServer", [](Estimator& e) { e.distributed_training = "ParameterServer"; }, "distributed_training",
       "distributed_training = ParameterServer is not supported: there are no parameter servers",
       "all ranks average their gradients by an allreduce, which needs no server and sends each gradient once: use "
       "mpi"},
      {"DefinitionAndPieces",
       [](Estimator& e) {
         e.environment_definition = "base@2";
         e.pip_packages = {"a"};
         e.custom_docker_image = "i";
         e.shm_size = "2g";
       },
       "environment_definition",
       "environment_definition is given together with pip_packages, custom_docker_image and shm_size",
       "a definition is the whole environment: put these into it, or leave it out"},
      {"CondaFileAndPackages",
       [](Estimator& e) {
         e.conda_dependencies_file = "env.yml";
         e.pip_packages = {"a"};
         e.conda_packages = {"b"};
       },
       "conda_dependencies_file", "conda_dependencies_file is given together with conda_packages and pip_packages",
       "write the packages into the file; those for pip have a list of their own there"},
      {"UserManagedAndPackages",
       [](Estimator& e) {
         e.user_managed = true;
         e.pip_requirements_file = "env.yml";
       },
       "user_managed", "user_managed is given together with pip_requirements_file",
       "it says that all packages are there already: leave out one or the other"},
      {"PythonAndPackages",
       [](Estimator& e) {
         e.python = "python3";
         e.conda_packages = {"b"};
       },
       "python", "python is given together with conda_packages",
       "it says that all packages are there already: leave out one or the other"},
      {"NoSuchPython", [](Estimator& e) { e.python = "/no/python"; }, "python",
       "python is /no/python, which does not exist",
       "name an interpreter on this machine, such as /opt/env/bin/python"},
      {"NoContainerWithAnImage",
       [](Estimator& e) {
         e.use_docker = false;
         e.custom_docker_image = "ubuntu:22.04";
       },
       "use_docker", "use_docker is false, but there is an image to use: custom_docker_image is ubuntu:22.04",
       "leave out one of the two"},
      {"AContainerWithoutAnImage", [](Estimator& e) { e.use_docker = true; }, "use_docker",
       "use_docker is true, but no image is named", "give custom_docker_image"},
      {"ImageForm", [](Estimator& e) { e.custom_docker_image = "two words"; }, "custom_docker_image",
       "custom_docker_image is \"two words\", which names no image",
       "write NAME, NAME:TAG, REGISTRY/NAME:TAG or NAME@sha256:DIGEST"},
      {"ShmSizeForm", [](Estimator& e) { e.shm_size = "2 GB"; }, "shm_size", "shm_size is \"2 GB\", which is no size",
       "write for example 512m or 2g"},
      {"RequirementsOutside", [](Estimator& e) { e.pip_requirements_file = "../requirements.txt"; },
       "pip_requirements_file", "pip_requirements_file ../requirements.txt lies outside the source directory SOURCE",
       "copy it into the source directory: only that is kept with the run"},
      {"CondaFileOutside", [](Estimator& e) { e.conda_dependencies_file = "/etc/passwd"; }, "conda_dependencies_file",
       "conda_dependencies_file /etc/passwd lies outside the source directory SOURCE",
       "copy it into the source directory: only that is kept with the run"},
      {"RequirementsMissing", [](Estimator& e) { e.pip_requirements_file = "none.txt"; }, "pip_requirements_file",
       "pip_requirements_file none.txt is no file in the source directory SOURCE", ""},
      {"UnknownFramework", [](Estimator& e) { e.framework = "pytroch"; }, "framework",
       "there is no framework \"pytroch\"; did you mean pytorch?",
       "for any other leave it out and name its packages: pip_packages"},
      {"ReinforcementLearning", [](Estimator& e) { e.framework = "ReinforcementLearning"; }, "framework",
       "there is no estimator for reinforcement learning",
       "its ranks are workers of a Ray cluster, which Lockstep does not run: submit the program with the packages it "
       "needs, or choose one of pytorch, tensorflow, keras, chainer, sklearn"},
      {"UnknownFrameworkVersion",
       [](Estimator& e) {
         e.framework = "Chainer";
         e.framework_version = "1.2";
       },
       "framework_version",
       "framework_version 1.2 of chainer is not supported; these are: 7.8.1, 7.8.0, 7.7.0 and 7.4.0",
       "for another one leave framework out and give pip_packages = chainer==1.2"},
      {"VersionWithoutFramework", [](Estimator& e) { e.framework_version = "1.2"; }, "framework_version",
       "framework_version is 1.2, but no framework is named",
       "give framework: pytorch, tensorflow, keras, chainer or sklearn"},
      {"InputForm",
       [](Estimator& e) {
         e.inputs = {{"digits", "/a/path"}};
       },
       "inputs", "\"/a/path\" names no data set: \"/a/path\" cannot be the name of one", kForms},
      {"InputMode",
       [](Estimator& e) {
         e.inputs = {{"digits", "mnist:downlod"}};
       },
       "inputs", "\"mnist:downlod\" names no data set: \"downlod\" is no mode; did you mean download?", kForms},
      {"InputVersion",
       [](Estimator& e) {
         e.script_params = {{"--data", "dataset:mnist@0"}};
       },
       "script_params", "\"dataset:mnist@0\" names no data set: the version \"0\" is no number from 1", kForms},
      {"InputPlace",
       [](Estimator& e) {
         e.inputs = {{"digits", "mnist:to=../up"}};
       },
       "inputs", "\"mnist:to=../up\" names no data set: to=../up leads out of the working directory, or is that itself",
       kForms},
      {"InputName",
       [](Estimator& e) {
         e.inputs = {{"my-digits", "mnist"}};
       },
       "inputs", "\"my-digits\" cannot name an input",
       "use letters, digits and _, not beginning with a digit: it names a variable too"},
      {"InputHidesAVariable",
       [](Estimator& e) {
         e.inputs = {{"PATH", "mnist"}};
       },
       "inputs", "the input PATH cannot be called so: a variable of this name has another meaning",
       "choose another name"},
      {"InputNamedAfterARank",
       [](Estimator& e) {
         e.script_params = {{"dataset:RANK", ""}};
       },
       "script_params", "the input RANK cannot be called so: a variable of this name has another meaning",
       "give it a name: dataset:RANK:as=NAME"},
      {"OneNameForTwoInputs",
       [](Estimator& e) {
         e.inputs = {{"a", "mnist"}};
         e.script_params = {{"--x", "dataset:mnist:download:as=a"}};
       },
       "script_params", "the input a is two data sets: mnist (inputs) and mnist:download",
       "give one of them another name: dataset:mnist:download:as=NAME"},
      {"UnknownInput",
       [](Estimator& e) {
         e.inputs = {{"digits", "mnist"}};
         e.script_params = {{"--x", "input:digit"}};
       },
       "script_params", "there is no input \"digit\"; did you mean digits?",
       "inputs name data sets: inputs = digit=DATASET"},
      {"CheckpointSignal", [](Estimator& e) { e.checkpoint_signal_seconds = 0; }, "checkpoint_signal_seconds",
       "checkpoint_signal_seconds is 0, must be at least 1",
       "leave it out for a run that is not told to write a checkpoint"},
  };
  return all;
}

class EstimatorRule : public testing::TestWithParam<Rule> {};

TEST_P(EstimatorRule, SaysWhatWhereAndWhatToDo) {
  const TemporaryDirectory source;
  std::ofstream(source.path() / "train.py") << "print(1)\n";
  std::ofstream(source.path() / "env.yml") << "name: x\n";
  Estimator estimator{.source_directory = source.path(), .entry_script = "train.py"};
  GetParam().breaks(estimator);
  std::string dashed = GetParam().field;
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  OptionTableBase::Origins origins{{dashed, "job.ini:7"}};
  origins.emplace("distributed-training", "job.ini");
  const auto errors = validate(estimator, origins);
  ASSERT_EQ(errors.size(), 1u) << (errors.empty() ? "" : errors[1].message());
  std::string expected = GetParam().what;
  if (const auto at = expected.find("SOURCE"); at != std::string::npos)
    expected.replace(at, 6, std::filesystem::canonical(source.path()).string());
  EXPECT_EQ(errors[0].kind, ErrorKind::usage);
  EXPECT_EQ(errors[0].what, expected);
  EXPECT_EQ(errors[0].where, "job.ini:7");
  EXPECT_EQ(errors[0].hint, GetParam().hint);
}

INSTANTIATE_TEST_SUITE_P(All, EstimatorRule, testing::ValuesIn(rules()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(Distribution, AzuresSpellings) {
  for (const char* text : {"mpi", "Mpi", "MPI", "MpiConfiguration", "OpenMpi", "IntelMpi"})
    EXPECT_EQ(parse_distribution(text)->kind, "mpi") << text;
  EXPECT_EQ(parse_distribution("None")->kind, "none");
  EXPECT_EQ(parse_distribution("")->kind, "");
}

// Azure ML ignores one of two values without a word; here a value that nobody wrote yields, and any other must agree.
TEST(Distribution, CountsInIt) {
  Estimator estimator{.node_count = 2, .process_count_per_node = 4, .distributed_training = Mpi{}.text()};
  EXPECT_EQ(with_plain_distribution(estimator).world_size(), 8);
  estimator = {.distributed_training = "mpi:3x5"};
  const Estimator plain = with_plain_distribution(estimator);
  EXPECT_EQ(plain.node_count, 3);
  EXPECT_EQ(plain.process_count_per_node, 5);
  EXPECT_EQ(plain.distributed_training, "mpi");
  EXPECT_EQ((Mpi{.process_count_per_node = 5, .node_count = 3}.text()), "mpi:3x5");
}

TEST(Framework, AddsItsPackages) {
  Estimator estimator = SKLearn({.pip_packages = {"pandas"}});
  EXPECT_EQ(with_framework_packages(estimator).pip_packages,
            (std::vector<std::string>{"scikit-learn==1.9.1", "pandas"}));
  estimator.framework_version = "1.8.0";
  EXPECT_EQ(with_framework_packages(estimator).pip_packages.front(), "scikit-learn==1.8.0");
  EXPECT_EQ(with_framework_packages(Keras({})).pip_packages, (std::vector<std::string>{"keras==3.15.1", "tensorflow"}));
  estimator.user_managed = true;
  EXPECT_EQ(with_framework_packages(estimator).pip_packages, estimator.pip_packages);
  for (const Estimator& one : {PyTorch({}), TensorFlow({}), Chainer({})}) EXPECT_TRUE(find_framework(one.framework));
  EXPECT_EQ(find_framework("Scikit-Learn")->name, "sklearn");
}

TEST(Notices, DefaultsOldNamesAndLimits) {
  Estimator estimator = PyTorch({});
  EXPECT_EQ(notices(estimator), (std::vector<std::string>{"framework_version is not given: pytorch 2.11.0 is taken; "
                                                          "name it, and a later run takes the same"}));
  estimator = {};
  const auto origins =
      estimator_options().parse_ini("custom_docker_base_image = ubuntu:22.04\n", "job.ini", &estimator).value();
  EXPECT_EQ(estimator.custom_docker_image, "ubuntu:22.04");
  EXPECT_EQ(notices(estimator, origins), (std::vector<std::string>{"job.ini:1: custom_docker_base_image is an old name "
                                                                   "of custom_docker_image"}));
  estimator = {.description = std::string(5001, 'x'), .tags = {{"t", std::string(1001, 'y')}}};
  EXPECT_EQ(notices(estimator),
            (std::vector<std::string>{"the tag t has 1001 characters; Azure ML takes at most 1000",
                                      "the description has 5001 characters; Azure ML takes at most 5000"}));
}

TEST(EstimatorOptions, TwoNamesOfOneField) {
  Estimator estimator;
  const auto result =
      estimator_options().parse_ini("custom_docker_image = a\ncustom_docker_base_image = b\n", "job.ini", &estimator);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message(),
            "job.ini:2: custom_docker_image and custom_docker_base_image are names of one field: 'a' and 'b' (first at "
            "job.ini:1)\n  keep one of them");
}

TEST(EstimatorOptions, AllMistakesOfAFileAreToldAtOnce) {
  Estimator estimator;
  const auto result = estimator_options().parse_ini("node_cuont = 2\nmax_restarts = many\n[tgas]\na = b\nc = d\n",
                                                    "job.ini", &estimator);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().what,
            "3 problems:\n"
            "  1. job.ini:1: unknown field node_cuont; did you mean node_count?\n"
            "  2. job.ini:4: unknown section [tgas]; did you mean tags?\n"
            "  3. job.ini:2: max_restarts: 'many' is not a whole number");
}

// One declaration: what an estimator holds survives every form.
TEST(EstimatorOptions, EveryFieldSurvivesIniAndJson) {
  Estimator full{.source_directory = "/s",
                 .entry_script = "t.py",
                 .script_params = {{"--a", "1"}, {"--a", ""}, {"", ""}, {"x=y", "\n"}},
                 .inputs = {{"digits", "mnist@2:download:to=data"}},
                 .experiment = "e",
                 .display_name = "a name",
                 .description = "two\nlines",
                 .tags = {{"k", "v"}},
                 .compute_target = "here",
                 .node_count = 2,
                 .process_count_per_node = 3,
                 .distributed_training = "mpi",
                 .use_gpu = true,
                 .environment_definition = "base",
                 .conda_packages = {"a=1", "b"},
                 .pip_packages = {"c==2"},
                 .conda_dependencies_file = "env.yml",
                 .pip_requirements_file = "r.txt",
                 .python = "/p",
                 .user_managed = true,
                 .framework = "keras",
                 .framework_version = "3.15.1",
                 .modules = {"gcc", "mpi/4"},
                 .custom_docker_image = "i:1",
                 .use_docker = false,
                 .shm_size = "2g",
                 .environment_variables = {{"A", "1"}},
                 .max_run_duration_seconds = 60,
                 .max_restarts = 2,
                 .checkpoint_signal_seconds = 30,
                 .resume_from = "latest",
                 .snapshot_limit_bytes = 5,
                 .snapshot_limit_files = 6};
  const Estimator defaults;
  for (const OptionEntry& entry : estimator_options().entries())
    EXPECT_TRUE(entry.name == "command" || entry.get(&full) != entry.get(&defaults)) << entry.name << " is not tried";
  const auto json = to_json(full);
  EXPECT_EQ(to_json(estimator_from_json(json)), json);
  EXPECT_EQ(json["use_docker"], false);
  EXPECT_EQ(json["max_restarts"], 2);
  EXPECT_EQ(json["modules"], (std::vector<std::string>{"gcc", "mpi/4"}));
  Estimator again;
  ASSERT_TRUE(estimator_options().parse_ini(estimator_options().to_ini(&full, &defaults), "again.ini", &again));
  EXPECT_EQ(to_json(again), json);
}

TEST(EstimatorJson, UnknownMembersAreIgnoredAndBadOnesNamed) {
  EXPECT_EQ(estimator_from_json({{"node_count", 3}, {"of_a_newer_version", {{"x", 1}}}}).node_count, 3);
  try {
    (void)estimator_from_json({{"max_restarts", 1.5}});
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::corrupt_data);
    EXPECT_EQ(failure.error().what, "not an estimator: max_restarts is 1.5, not a whole number");
  }
  EXPECT_THROW((void)estimator_from_json({{"node_count", 99999999999}}), Failure);
  EXPECT_THROW((void)estimator_from_json({{"pip_packages", "one"}}), Failure);
  EXPECT_THROW((void)estimator_from_json(nlohmann::ordered_json::array()), Failure);
}

TEST(FluentEstimator, WritesTheSameFields) {
  Estimator job{.entry_script = "train.py"};
  job.with_script_param("--epochs", "2").with_script_param("--verbose").with_tag("stage", "early").on_nodes(2, 3);
  job.with_input("digits", "mnist:download").with_pip_package("numpy").for_at_most(60).resuming("latest");
  EXPECT_EQ(job.script_params, (KeyValues{{"--epochs", "2"}, {"--verbose", ""}}));
  EXPECT_EQ(job.world_size(), 6);
  EXPECT_EQ(job.distributed_training, "mpi");
  EXPECT_EQ(job.inputs, (KeyValues{{"digits", "mnist:download"}}));
  EXPECT_EQ(job.max_run_duration_seconds, 60);
}

}  // namespace
}  // namespace lockstep
