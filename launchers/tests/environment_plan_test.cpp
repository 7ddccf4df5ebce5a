#include "lockstep/launchers/environment_plan.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lockstep/launchers/container_command.h"

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

EnvironmentTools tools_of(std::string conda = {}) {
  return {"x86_64", "/usr/bin/python3", "3.11.7", std::move(conda), {}, {}};
}

EnvironmentPlan plan(const Environment& environment, const EnvironmentTools& tools = tools_of()) {
  return plan_environment(environment, "/w/.lockstep", tools).value();
}

Environment with_pip(Words lines) {
  Environment environment;
  environment.python.pip = std::move(lines);
  return environment;
}

Environment with_conda(Words packages, std::string version = {}) {
  Environment environment;
  environment.python.conda = std::move(packages);
  environment.python.version = std::move(version);
  return environment;
}

TEST(EnvironmentPlan, NothingAskedForIsNothingDone) {
  const EnvironmentPlan nothing = plan({});
  EXPECT_FALSE(nothing.needs_preparation());
  EXPECT_EQ(describe(nothing), "");
}

TEST(EnvironmentPlan, PackagesOfPipComeIntoAVirtualEnvironment) {
  const EnvironmentPlan made = plan(with_pip({"torch", "--pre", "numpy"}));
  const std::string folder = made.build.directory.string();
  EXPECT_EQ(folder.rfind("/w/.lockstep/environments/.built/py-", 0), 0u);
  EXPECT_EQ(made.build.files, (std::map<std::string, std::string>{{"requirements.txt", "--pre\nnumpy\ntorch\n"}}));
  ASSERT_EQ(made.build.steps.size(), 2u);
  EXPECT_EQ(made.build.steps[0].argv, (Words{"/usr/bin/python3", "-m", "venv", folder + "/venv"}));
  EXPECT_EQ(made.build.steps[1].argv.front(), folder + "/venv/bin/python3");
  EXPECT_EQ(made.build.steps[1].argv.back(), folder + "/requirements.txt");
  EXPECT_EQ(made.python, folder + "/venv/bin/python3");
  EXPECT_EQ(made.prepended.at("PATH"), folder + "/venv/bin");
  EXPECT_EQ(made.variables.at("VIRTUAL_ENV"), folder + "/venv");
  EXPECT_EQ(to_json(environment_plan_from_json(to_json(made))), to_json(made));
}

TEST(EnvironmentPlan, OneIsBuiltForAllThatAreTheSame) {
  const auto key = [](const Environment& environment, const EnvironmentTools& tools = tools_of()) {
    return plan(environment, tools).build.directory;
  };
  const auto usual = key(with_pip({"a", "b"}));
  EXPECT_EQ(key(with_pip({"b", "a", "a"})), usual);
  Environment other = with_pip({"a", "b"});
  other.name = "name";
  other.variables = {{"A", "b"}};  // of the ranks, not of the build
  EXPECT_EQ(key(other), usual);
  EXPECT_NE(key(with_pip({"a"})), usual);
  EnvironmentTools newer = tools_of();
  newer.python_version = "3.12.0";
  EXPECT_NE(key(with_pip({"a", "b"}), newer), usual);
  newer = tools_of();
  newer.architecture = "aarch64";
  EXPECT_NE(key(with_pip({"a", "b"}), newer), usual);
}

TEST(EnvironmentPlan, CondaIsUsedWhereItIs) {
  Environment environment = with_conda({"numpy=1.21"}, "3.6.2");
  environment.python.channels = {"conda-forge"};
  environment.python.pip = {"torch"};
  const EnvironmentPlan made = plan(environment, tools_of("/opt/conda/bin/conda"));
  const std::string folder = made.build.directory.string();
  EXPECT_EQ(made.build.files.at("conda.yml"),
            "channels:\n  - \"conda-forge\"\ndependencies:\n  - \"python=3.6.2\"\n  - \"numpy=1.21\"\n  - \"pip\"\n  - "
            "pip:\n    - \"torch\"\n");
  EXPECT_EQ(made.build.steps.at(0).argv, (Words{"/opt/conda/bin/conda", "env", "create", "--prefix", folder + "/conda",
                                                "--file", folder + "/conda.yml"}));
  EXPECT_EQ(plan(environment, tools_of("/opt/micromamba")).build.steps.at(0).argv.at(1), "create");
  EXPECT_EQ(made.variables.at("CONDA_PREFIX"), folder + "/conda");
  EXPECT_TRUE(made.notices.empty());
}

TEST(EnvironmentPlan, WithoutCondaPipGivesItsPackagesAndSaysSo) {
  Environment environment = with_conda({"pytorch=1.4", "cudatoolkit=10", "scipy"}, "3.6.2");
  environment.python.pip = {"azureml-sdk"};
  const EnvironmentPlan made = plan(environment);
  EXPECT_EQ(made.build.files.at("requirements.txt"), "scipy\ntorch==1.4.*\n");
  ASSERT_EQ(made.notices.size(), 4u);
  EXPECT_NE(made.notices[0].find("azureml-sdk is left out"), std::string::npos);
  EXPECT_NE(made.notices[1].find("python=3.6.2 is not on this machine"), std::string::npos);
  EXPECT_NE(made.notices[1].find("Python 3.11.7 is taken"), std::string::npos);
  EXPECT_NE(made.notices[2].find("torch==1.4.*"), std::string::npos);
  EXPECT_NE(made.notices[3].find("cudatoolkit"), std::string::npos);
  EXPECT_TRUE(plan(with_conda({}, "3.11")).notices.empty());
  environment.strict = true;
  const auto refused = plan_environment(environment, "/w", tools_of());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("cannot be had as it was asked for"), std::string::npos);
}

TEST(EnvironmentPlan, APythonThatIsThereIsOnlyLookedAt) {
  Environment environment;
  environment.python.interpreter = "/home/me/venv/bin/python3";
  const EnvironmentPlan made = plan(environment);
  EXPECT_TRUE(made.build.directory.empty());
  EXPECT_TRUE(made.needs_preparation());
  EXPECT_EQ(made.python, "/home/me/venv/bin/python3");
  EXPECT_EQ(made.prepended.at("PATH"), "/home/me/venv/bin");
}

TEST(EnvironmentPlan, AToolThatIsMissingIsNamed) {
  const auto missing = [](const Environment& environment, const EnvironmentTools& tools, const Words& named) {
    const auto result = plan_environment(environment, "/w", tools);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::environment);
    EXPECT_FALSE(result.error().hint.empty());
    for (const std::string& name : named) EXPECT_NE(result.error().what.find(name), std::string::npos) << name;
  };
  missing(with_pip({"a"}), {}, {"python3", "conda"});
  Environment environment;
  environment.modules = {"gcc/12"};
  missing(environment, tools_of(), {"gcc/12", "LMOD_CMD", "modulecmd"});
  environment = {};
  environment.image = "a/b:1";
  missing(environment, tools_of(), {"a/b:1", "podman", "apptainer", "ch-run"});
}

TEST(EnvironmentPlan, RanksStartInIt) {
  LaunchPlan launch;
  launch.rank_argv = {"python3", "train.py"};
  launch.launch_argv = {"mpirun", "-n", "2", "lockstep", "rank-exec", "--", "python3", "train.py"};
  launch.environment = {{"A", "estimator"}};
  launch.prepended = {{"PATH", "/x"}};
  Environment environment = with_pip({"a"});
  environment.variables = {{"A", "environment"}, {"B", "environment"}};
  LaunchPlan changed = in_environment(launch, plan(environment), false, {}).value();
  EXPECT_EQ(changed.environment.at("A"), "estimator");
  EXPECT_EQ(changed.environment.at("B"), "environment");
  EXPECT_TRUE(changed.prepended.at("PATH").ends_with("/venv/bin:/x"));
  EXPECT_EQ(changed.launch_argv, launch.launch_argv);

  environment = {};
  environment.image = "docker.io/a:1";
  EnvironmentTools tools = tools_of();
  tools.container = "/usr/bin/apptainer";
  changed = in_environment(launch, plan(environment, tools), true, {"/data"}).value();
  EXPECT_EQ(changed.rank_argv,
            (Words{"/usr/bin/apptainer", "exec", "--bind", "$LOCKSTEP_RUN_DIR", "--bind", "/data", "--pwd",
                   "$LOCKSTEP_RUN_DIR/work", "--nv", "docker://docker.io/a:1", "python3", "train.py"}));
  EXPECT_EQ(Words(changed.launch_argv.begin() + 6, changed.launch_argv.end()), changed.rank_argv);
}

TEST(EnvironmentPlan, PackagesForAContainerAreInstalledByItsOwnPython) {
  Environment environment = with_pip({"a"});
  environment.image = "a:1";
  EnvironmentTools tools = tools_of();
  tools.container = "/usr/bin/podman";
  const EnvironmentPlan made = plan(environment, tools);
  const Words& argv = made.build.steps.at(0).argv;
  EXPECT_EQ(argv.front(), "/usr/bin/podman");
  EXPECT_EQ(Words(argv.end() - 4, argv.end() - 1), (Words{"python3", "-m", "venv"}));
  EXPECT_EQ(made.inspected, "");  // the machine's own could not run it
}

TEST(Container, EachProgramHasItsOwnWords) {
  Container container{
      .program = "/usr/bin/podman", .image = "a:1", .shm_size = "2g", .binds = {"/d"}, .directory = "/d/w"};
  EXPECT_EQ(container_command(container, {"x", "y z"}).value(),
            (Words{"/usr/bin/podman", "run", "--rm", "--network=host", "--pid=host", "--userns=keep-id", "--env-host",
                   "--shm-size=2g", "--volume=/d:/d", "--workdir=/d/w", "a:1", "x", "y z"}));
  container.program = "/usr/bin/ch-run";
  EXPECT_NE(container_command(container, {"x"}).error().what.find("ch-run shares"), std::string::npos);
  container.shm_size.clear();
  EXPECT_EQ(container_command(container, {"x"}).value(),
            (Words{"/usr/bin/ch-run", "--bind=/d:/d", "--cd=/d/w", "a:1", "--", "x"}));
  container.program = "singularity";
  container.image = "/images/a.sif";
  EXPECT_EQ(container_command(container, {"x"}).value().at(6), "/images/a.sif");
}

}  // namespace
}  // namespace lockstep
