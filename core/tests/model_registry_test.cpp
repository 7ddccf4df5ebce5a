#include "lockstep/core/model_registry.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>
#include <set>
#include <thread>

#include "lockstep/core/run.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class ModelRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(run / "outputs/saved/deep");
    write_contents(run / "outputs/model.h5", "weights");
    write_contents(run / "outputs/saved/graph.pb", "graph");
    write_contents(run / "outputs/saved/deep/variables", "variables");
    write_contents(run / "run.json", R"({"id": "x", "git": {"commit": "abc"}, "command": "train.py", "secret": 1})");
  }
  ModelRecord add(const std::string& path = "outputs/model.h5", const std::string& name = "digits") {
    return register_model(workspace, run, {.model_name = name, .model_path = path}).value();
  }
  Error refused(const ModelRequest& request) {
    const auto result = register_model(workspace, run, request);
    EXPECT_FALSE(result);
    return result ? Error{} : result.error();
  }

  TemporaryDirectory folder;
  Workspace workspace = Workspace::create(folder.path()).value();
  fs::path run = folder / ".lockstep/runs/cifar/cifar_1700000000_ab12cd34";
};

TEST_F(ModelRegistryTest, AFileBecomesAVersionWithItsOrigin) {
  const ModelRecord model = register_model(workspace, run,
                                           {.model_name = "digits",
                                            .model_path = "outputs/model.h5",
                                            .tags = {{"stage", "trial"}},
                                            .properties = {{"classes", "10"}},
                                            .model_framework = "PyTorch",
                                            .model_framework_version = "2.11.0",
                                            .description = "small",
                                            .datasets = {{"training", "mnist@2"}}})
                                .value();
  EXPECT_EQ(model.version, 1);
  EXPECT_EQ(contents(model.path()), "weights");
  write_contents(run / "outputs/model.h5", "changed");  // the model stays
  const ModelRecord found = find_model(workspace, "digits").value();
  EXPECT_EQ(to_json(found), to_json(model));
  EXPECT_EQ(found.tags, model.tags);
  EXPECT_EQ(contents(found.path()), "weights");
  EXPECT_EQ(found.run_id, "cifar_1700000000_ab12cd34");
  EXPECT_EQ(found.experiment, "cifar");
  EXPECT_EQ(found.lineage, (nlohmann::ordered_json{{"command", "train.py"}, {"git", {{"commit", "abc"}}}}));
  ASSERT_EQ(found.files.size(), 1u);
  EXPECT_EQ(found.files[0].sha256, sha256("weights"));
  struct stat status {};
  ::stat(found.path().c_str(), &status);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(ModelRegistryTest, AFolderKeepsItsShape) {
  const ModelRecord model = add("outputs/saved");
  ASSERT_EQ(model.files.size(), 2u);
  EXPECT_EQ(model.files[0].path, "saved/deep/variables");
  EXPECT_EQ(contents(model.path() / "graph.pb"), "graph");
  EXPECT_EQ(model.bytes(), 14);
  const auto paths = download_model(model, folder / "copy");
  EXPECT_EQ(paths.size(), 2u);
  EXPECT_EQ(contents(folder / "copy/saved/graph.pb"), "graph");
  EXPECT_THROW(download_model(model, folder / "copy"), Failure);
  download_model(model, folder / "copy", /*overwrite=*/true);
  write_contents(model.directory / "files/saved/graph.pb", "grape");
  EXPECT_THROW(download_model(model, folder / "copy", true), Failure);
}

TEST_F(ModelRegistryTest, WithoutAPathItIsWhatBearsItsName) {
  write_contents(run / "outputs/sklearn-sample", "pickle");
  const auto model = register_model(workspace, run, {.model_name = "sklearn-sample"}).value();
  EXPECT_EQ(model.model_path, "outputs/sklearn-sample");
  write_contents(run / "sklearn-sample", "in the run itself");
  EXPECT_EQ(register_model(workspace, run, {.model_name = "sklearn-sample"}).value().model_path, "sklearn-sample");

  const Error error = refused({.model_name = "digits"});
  EXPECT_EQ(error.kind, ErrorKind::usage);
  EXPECT_EQ(error.what,
            "the run has neither digits nor outputs/digits, and no path of a model was given; its outputs hold "
            "outputs/saved/deep/variables (9 bytes), outputs/model.h5 (7 bytes), outputs/sklearn-sample (6 bytes), "
            "outputs/saved/graph.pb (5 bytes)");
  EXPECT_EQ(error.hint, "lockstep models register cifar_1700000000_ab12cd34 digits outputs/saved/deep/variables");
  fs::remove_all(run / "outputs");
  EXPECT_NE(refused({.model_name = "digits", .model_path = "outputs/x"}).what.find("its outputs are empty"),
            std::string::npos);
}

TEST_F(ModelRegistryTest, NothingOutsideOfTheRunIsTaken) {
  write_contents(folder / "elsewhere", "secret");
  fs::create_symlink(folder / "elsewhere", run / "outputs/link");
  for (const char* path : {"../../../../elsewhere", "outputs/link", "/etc/hostname"})
    EXPECT_EQ(refused({.model_name = "m", .model_path = path}).kind, ErrorKind::usage) << path;
  EXPECT_NE(refused({.model_name = "m", .model_path = "outputs"}).what.find("link is no file of the run"),
            std::string::npos);
  for (const char* name : {"", "a/b", "../x", ".x"})
    EXPECT_EQ(refused({.model_name = name, .model_path = "outputs/model.h5"}).kind, ErrorKind::usage) << name;
  EXPECT_TRUE(list_models(workspace).empty());
  for (const auto& entry : fs::directory_iterator(workspace.root() / "models/m"))
    ADD_FAILURE() << entry.path() << " is left";
}

TEST_F(ModelRegistryTest, ManyAtOnceGetANumberEach) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 4; ++j) add();
    });
  for (std::thread& thread : threads) thread.join();
  std::set<int> versions;
  for (const ModelRecord& model : list_models(workspace)) versions.insert(model.version);
  EXPECT_EQ(versions.size(), 32u);
  EXPECT_EQ(*versions.rbegin(), 32);
}

TEST_F(ModelRegistryTest, ADeletedNumberIsNotGivenAgain) {
  for (int i = 0; i < 3; ++i) add();
  remove_model(find_model(workspace, "digits@3").value());
  remove_model(find_model(workspace, "digits@1").value());
  EXPECT_EQ(add().version, 4);
  EXPECT_EQ(list_models(workspace).size(), 2u);
  EXPECT_EQ(find_model(workspace, "digits@3").error().what, "the model digits has no version 3; it has 2, 4");
  EXPECT_NE(find_model(workspace, "digit").error().what.find("did you mean digits"), std::string::npos);
}

TEST_F(ModelRegistryTest, TagsOfTwoWritersAreBothThere) {
  const ModelRecord model = add();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      for (int j = 0; j < 5; ++j) change_model_tags(model, {{std::to_string(i * 5 + j), "x"}});
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(find_model(workspace, "digits").value().tags.size(), 20u);
  EXPECT_EQ(change_model_tags(model, {{"3", std::nullopt}, {"4", "y"}}).size(), 19u);
}

TEST_F(ModelRegistryTest, UnfinishedRunsThatUseItAreNamed) {
  for (int i = 0; i < 12; ++i) add();
  const ModelRecord first = find_model(workspace, "digits@1").value();
  EXPECT_TRUE(runs_that_use(workspace, first).empty());
  const RunDirectory user = RunDirectory::create(workspace, "use").value();
  user.write_record({{"id", user.id()}, {"submitted", unix_time()}, {"argument", "model:digits@12"}});
  EXPECT_TRUE(runs_that_use(workspace, first).empty());  // 12 is not 1
  EXPECT_EQ(runs_that_use(workspace, find_model(workspace, "digits@12").value()), std::vector<std::string>{user.id()});
}

TEST_F(ModelRegistryTest, RecordsOfTomorrowAndDamagedOnesAreTold) {
  const ModelRecord model = add();
  add();
  auto json = nlohmann::ordered_json::parse(contents(model.directory / "model.json"));
  json["new key"] = {{"deep", 1}};
  json["files"][0]["new"] = 1;
  write_contents(model.directory / "model.json", json.dump());
  EXPECT_EQ(find_model(workspace, "digits@1").value().files.size(), 1u);
  json["format"] = 2;
  write_contents(model.directory / "model.json", json.dump());
  EXPECT_NE(find_model(workspace, "digits@1").error().what.find("newer Lockstep"), std::string::npos);
  write_contents(model.directory / "model.json", "{torn");
  std::vector<std::string> warnings;
  EXPECT_EQ(list_models(workspace, &warnings).size(), 1u);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST_F(ModelRegistryTest, ARunRegistersItsOwn) {
  const lockstep::Run open = lockstep::Run::open(RunDirectory::open(run).value());
  EXPECT_EQ(open.register_model({.model_name = "digits", .model_path = "outputs/model.h5"}).version, 1);
  EXPECT_THROW(lockstep::Run::none().register_model({.model_name = "digits"}), Failure);
}

}  // namespace
}  // namespace lockstep
