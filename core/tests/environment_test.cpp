#include "lockstep/core/environment.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "lockstep/core/environment_registry.h"
#include "lockstep/core/python_program.h"
#include "lockstep/core/requirements_file.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

void write(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

Environment with_pip(Words lines) {
  Environment environment;
  environment.python.pip = std::move(lines);
  return environment;
}

TEST(Environment, EqualDefinitionsHaveEqualHashes) {
  const std::string hash = with_pip({"torch==2.1", "numpy"}).hash();
  EXPECT_EQ(hash.size(), 64u);
  Environment same = with_pip({"numpy", "torch == 2.1", "numpy"});
  same.name = "other";
  same.version = 7;
  same.description = "words";
  EXPECT_EQ(same.hash(), hash);
}

TEST(Environment, EachPartOfTheDefinitionCounts) {
  std::set<std::string> hashes{Environment().hash()};
  const auto differs = [&](const std::function<void(Environment&)>& change) {
    Environment environment;
    change(environment);
    EXPECT_FALSE(environment.is_empty());
    EXPECT_TRUE(hashes.insert(environment.hash()).second);
    EXPECT_EQ(environment_from_json(to_json(environment)).hash(), environment.hash());
  };
  differs([](Environment& e) { e.python.pip = {"a"}; });
  differs([](Environment& e) { e.python.pip = {"--pre", "a"}; });
  differs([](Environment& e) { e.python.conda = {"a"}; });
  differs([](Environment& e) { e.python.channels = {"a"}; });
  differs([](Environment& e) { e.python.version = "3.10"; });
  differs([](Environment& e) { e.python.interpreter = "/usr/bin/python3"; });
  differs([](Environment& e) { e.python.present = {"a==1"}; });
  differs([](Environment& e) { e.modules = {"a", "b"}; });
  differs([](Environment& e) { e.modules = {"b", "a"}; });
  differs([](Environment& e) { e.variables = {{"A", "b"}}; });
  differs([](Environment& e) { e.image = "a"; });
  differs([](Environment& e) { e.shm_size = "2g"; });
  differs([](Environment& e) { e.strict = true; });
  differs([](Environment& e) { e.cmake.arguments = {"-DA=1"}; });
  differs([](Environment& e) { e.cmake.build_type = "Debug"; });
  differs([](Environment& e) { e.cmake.target = "a"; });
  EXPECT_TRUE(Environment().is_empty());
}

TEST(Environment, JsonIgnoresWhatItDoesNotKnowAndRefusesTheFuture) {
  auto json = to_json(with_pip({"a"}));
  json["later"] = 1;
  json["definition"]["later"] = 1;
  json["definition"]["python"]["later"] = {1};
  EXPECT_EQ(environment_from_json(json).hash(), with_pip({"a"}).hash());
  json["format"] = 2;
  try {
    (void)environment_from_json(json);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().what.find("newer Lockstep"), std::string::npos);
  }
  EXPECT_THROW((void)environment_from_json(nlohmann::ordered_json::array()), Failure);
  EXPECT_THROW((void)environment_from_json({{"definition", {{"python", {{"pip", 3}}}}}}), Failure);
}

TEST(Environment, IsReadFromARequirementsFile) {
  TemporaryDirectory directory;
  write(directory / "requirements.txt",
        "# what it needs\n\nnumpy>=1.2, <2   # a comment\r\n--pre\ntorch \\\n  == 2.1\n-r more/others.txt\n"
        "-e git+https://x.org/y.git#egg=y\nz @ https://x.org/z.whl\n");
  write(directory / "more/others.txt", "scipy[all]; python_version > '3.8'\n/opt/wheels/a.whl");
  const auto environment = Environment::from_pip_requirements("mine", directory / "requirements.txt").value();
  EXPECT_EQ(environment.name, "mine");
  EXPECT_EQ(environment.python.pip,
            (Words{"numpy>=1.2, <2", "--pre", "torch   == 2.1", "scipy[all]; python_version > '3.8'",
                   "/opt/wheels/a.whl", "-e git+https://x.org/y.git#egg=y", "z @ https://x.org/z.whl"}));
  EXPECT_TRUE(validate(environment).empty());
}

TEST(Environment, SaysWhichRequirementIsWrong) {
  TemporaryDirectory directory;
  write(directory / "outside.txt", "a\n");
  const std::pair<const char*, const char*> wrongs[]{
      {"numpy=1.2\n", "write =="},
      {"a\n./library\n", "is a path"},
      {"-e .\n", "is a path"},
      {"-r missing.txt\n", "missing.txt"},
      {"-r ../outside.txt\n", "outside"},
      {"-c limits.txt\n", "constraints"},
      {"numpy 1.2\n", "expects a version"},
      {"!x\n", "package's name"},
      {"-r requirements.txt\n", "include each other"},
      {"a[b\n", "without its ]"},
  };
  for (const auto& [text, what] : wrongs) {
    write(directory / "in/requirements.txt", text);
    const auto result = Environment::from_pip_requirements("x", directory / "in/requirements.txt");
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().kind, ErrorKind::usage);
    EXPECT_NE(result.error().what.find(what), std::string::npos) << text << result.error().what;
    EXPECT_EQ(result.error().where.rfind("requirements.txt:", 0), 0u) << text << result.error().where;
  }
  EXPECT_FALSE(Environment::from_pip_requirements("x", directory / "none.txt"));
  EXPECT_FALSE(Environment::from_pip_requirements("a b", directory / "outside.txt"));
}

TEST(Environment, IsReadFromACondaFile) {
  TemporaryDirectory directory;
  write(directory / "env.yml", "dependencies:\n  - python=3.10\n  - numpy\n  - pip:\n    - torch==2.1\n");
  std::vector<std::string> notices;
  const auto environment = Environment::from_conda_specification("c", directory / "env.yml", &notices).value();
  EXPECT_EQ(environment.python.version, "3.10");
  EXPECT_EQ(environment.python.conda, Words{"numpy"});
  EXPECT_EQ(environment.python.pip, Words{"torch==2.1"});
  EXPECT_TRUE(notices.empty());
  write(directory / "env.yml", "dependencies:\n  - numpy\n");
  ASSERT_TRUE(Environment::from_conda_specification("c", directory / "env.yml", &notices));
  EXPECT_EQ(notices.size(), 1u);  // no python in it
  write(directory / "env.yml", "dependencies:\n  - pip:\n    - numpy=1\n");
  EXPECT_NE(Environment::from_conda_specification("c", directory / "env.yml").error().what.find("write =="),
            std::string::npos);
}

TEST(Environment, AnExistingOneIsFoundAndLookedInto) {
  const auto found = find_python("python3");
  ASSERT_TRUE(found) << found.error().message();
  const auto environment = Environment::from_existing("here", *found).value();
  EXPECT_EQ(environment.python.interpreter, *found);
  EXPECT_TRUE(validate(environment).empty());

  TemporaryDirectory directory;
  EXPECT_NE(Environment::from_existing("x", directory.path().string()).error().what.find("no Python in"),
            std::string::npos);
  EXPECT_EQ(Environment::from_existing("x", "/no/such/python").error().kind, ErrorKind::usage);
  write(directory / "python", "#!/bin/sh\necho broken >&2; exit 3\n");
  EXPECT_NE(Environment::from_existing("x", (directory / "python").string()).error().what.find("not executable"),
            std::string::npos);
  fs::permissions(directory / "python", fs::perms::owner_all);
  const Error broken = Environment::from_existing("x", (directory / "python").string()).error();
  EXPECT_EQ(broken.kind, ErrorKind::environment);
  EXPECT_NE(broken.what.find("exit code 3: broken"), std::string::npos) << broken.what;
}

TEST(Environment, ValuesAreChecked) {
  const auto wrong = [](const std::function<void(Environment&)>& change, const char* field, const char* what) {
    Environment environment;
    change(environment);
    const auto errors = validate(environment);
    ASSERT_EQ(errors.size(), 1u) << what;
    EXPECT_EQ(errors[0].where, field);
    EXPECT_NE(errors[0].what.find(what), std::string::npos) << errors[0].what;
    EXPECT_FALSE(errors[0].hint.empty());
  };
  wrong([](Environment& e) { e.python.pip = {"a=1"}; }, "pip_packages", "write ==");
  wrong([](Environment& e) { e.python.conda = {"=1"}; }, "conda_packages", "package's name");
  wrong([](Environment& e) { e.python.interpreter = "/p", e.python.pip = {"a"}; }, "python", "/p");
  wrong([](Environment& e) { e.modules = {"gcc; rm"}; }, "modules", "gcc; rm");
  wrong([](Environment& e) { e.variables = {{"1A", ""}}; }, "environment_variables", "1A");
  wrong([](Environment& e) { e.variables = {{"MY_TOKEN", "x"}}; }, "environment_variables", "secret");
  wrong([](Environment& e) { e.image = "a b"; }, "custom_docker_image", "a b");
  wrong([](Environment& e) { e.image = "a", e.shm_size = "2x"; }, "shm_size", "2x");
  wrong([](Environment& e) { e.shm_size = "2g"; }, "shm_size", "no container");
  Environment sound;
  sound.image = "ghcr.io:5000/a/b:1.2@sha256:00ff";
  sound.shm_size = "512m";
  sound.modules = {"gcc/12.2", "openmpi/4.1+cuda"};
  EXPECT_TRUE(validate(sound).empty());
}

TEST(Environment, IsSavedInADirectory) {
  TemporaryDirectory directory;
  const Environment environment = with_pip({"a"}).clone("copy");
  environment.save_to_directory(directory / "saved");
  const auto loaded = Environment::load_from_directory(directory / "saved").value();
  EXPECT_EQ(loaded.name, "copy");
  EXPECT_EQ(loaded.hash(), environment.hash());
  EXPECT_FALSE(Environment::load_from_directory(directory / "none"));
  write(directory / "saved/environment.json", "{");
  EXPECT_EQ(Environment::load_from_directory(directory / "saved").error().kind, ErrorKind::usage);
}

class Registry : public ::testing::Test {
 protected:
  EnvironmentRecord add(Words pip, std::string name = "mine") {
    return register_environment(workspace_, with_pip(std::move(pip)).clone(std::move(name))).value();
  }
  TemporaryDirectory directory_;
  Workspace workspace_ = Workspace::create(directory_.path()).value();
};

TEST_F(Registry, AChangedDefinitionIsANewVersion) {
  EXPECT_EQ(add({"a"}).environment.version, 1);
  EXPECT_EQ(add({"a"}).environment.version, 1);
  EXPECT_EQ(add({"b"}).environment.version, 2);
  EXPECT_EQ(add({"a"}).environment.version, 3);  // as the newest differs
  EXPECT_EQ(find_environment(&workspace_, "mine@2").value().environment.python.pip, Words{"b"});
  EXPECT_EQ(find_environment(&workspace_, "mine").value().environment.version, 3);
  EXPECT_EQ(find_environment(&workspace_, "mine@latest").value().environment.version, 3);
  EXPECT_NE(find_environment(&workspace_, "mine@4").error().what.find("it has 1 to 3"), std::string::npos);
  EXPECT_NE(find_environment(&workspace_, "mime").error().what.find("did you mean mine"), std::string::npos);
  EXPECT_FALSE(find_environment(nullptr, "mine"));
}

TEST_F(Registry, NoTwoVersionsAreTakenAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) threads.emplace_back([this, i] { add({"p" + std::to_string(i)}); });
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> seen;
  for (int version = 1; version <= 16; ++version)
    seen.insert(find_environment(&workspace_, "mine@" + std::to_string(version)).value().environment.python.pip.at(0));
  EXPECT_EQ(seen.size(), 16u);
}

TEST_F(Registry, SomeNamesAreReserved) {
  for (const char* name : {"lockstep-mine", "microsoftX", "AzureML-Minimal", "a/b", ""})
    EXPECT_FALSE(register_environment(workspace_, with_pip({"a"}).clone(name))) << name;
  EXPECT_FALSE(register_environment(workspace_, with_pip({"a=1"}).clone("a")));
}

TEST_F(Registry, CuratedOnesAreThereForEverybody) {
  EXPECT_EQ(find_environment(nullptr, "lockstep-sklearn").value().environment.version, 1);
  EXPECT_TRUE(find_environment(nullptr, "lockstep-minimal@1").value().environment.is_empty());
  for (const Environment& environment : curated_environments()) EXPECT_TRUE(validate(environment).empty());
  EXPECT_EQ(list_environments(nullptr).size(), curated_environments().size());
}

TEST_F(Registry, ADamagedRecordIsNamedAndTheOthersAreListed) {
  add({"a"});
  add({"b"});
  write(workspace_.root() / "environments/mine/1.json", "{");
  std::vector<std::string> warnings;
  EXPECT_EQ(list_environments(&workspace_, &warnings).size(), 1 + curated_environments().size());
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("mine version 1 is damaged"), std::string::npos);
}

TEST_F(Registry, OneVersionIsDeleted) {
  add({"a"});
  add({"b"});
  EXPECT_FALSE(delete_environment(workspace_, "mine"));
  EXPECT_FALSE(delete_environment(workspace_, "lockstep-cpp@1"));
  EXPECT_TRUE(delete_environment(workspace_, "mine@1"));
  EXPECT_FALSE(find_environment(&workspace_, "mine@1"));
  EXPECT_EQ(find_environment(&workspace_, "mine").value().environment.version, 2);
}

}  // namespace
}  // namespace lockstep
