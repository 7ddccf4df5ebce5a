#include "lockstep/core/dataset_reference.h"

#include <gtest/gtest.h>

#include <fstream>

#include "lockstep/core/dataset_content.h"
#include "lockstep/core/dataset_registry.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

TEST(DatasetReference, AllItsParts) {
  const DatasetReference plain = parse_dataset_reference("dataset:mnist").value();
  EXPECT_EQ(plain.name, "mnist");
  EXPECT_FALSE(plain.version);
  EXPECT_EQ(plain.mode, DatasetMode::mount);
  const DatasetReference full = parse_dataset_reference("a-b.c@12:download:as=x:to=data/a:b").value();
  EXPECT_EQ(full.version, 12);
  EXPECT_EQ(full.mode, DatasetMode::download);
  EXPECT_EQ(full.input, "x");
  EXPECT_EQ(full.to, "data/a:b");
  EXPECT_EQ(input_name(full), "x");
  EXPECT_EQ(input_name(parse_dataset_reference("a-b.c").value()), "a_b_c");
  for (const char* text : {"mnist", "mnist@3", "mnist:direct", "a-b.c@12:download:as=x:to=data/a:b"})
    EXPECT_EQ(parse_dataset_reference(text)->text(), text);
  for (const char* text : {"", "dataset:", "@1", "a@", "a@1x", "a@01x", "a:", "a::mount", "a:as=", "a:as=2",
                           "a:to=", "a:to=/abs", "a:to=.", "a:to=x/../..", "a b"})
    EXPECT_FALSE(parse_dataset_reference(text)) << text;
}

TEST(DatasetReference, WordsOfACommandLine) {
  EXPECT_EQ(reference_position("dataset:x"), 0u);
  EXPECT_EQ(reference_position("--data=dataset:x"), 7u);
  EXPECT_EQ(reference_position("-d=input:x"), 3u);
  for (const char* word : {"a dataset:x", "note=dataset:x", "--data", "--x=y=dataset:z", ""})
    EXPECT_EQ(reference_position(word), std::string::npos) << word;
}

TEST(DatasetReference, TheInputsOfAnEstimator) {
  Estimator estimator{.script_params = {{"--a", "dataset:mnist"}, {"--b", "input:digits"}, {"dataset:c:direct", ""}},
                      .inputs = {{"digits", "emnist@2:download"}}};
  const auto inputs = inputs_of(estimator).value();
  ASSERT_EQ(inputs.size(), 3u);
  EXPECT_EQ(inputs[0].name, "digits");
  EXPECT_EQ(inputs[0].field, "inputs");
  EXPECT_EQ(inputs[1].name, "mnist");
  EXPECT_EQ(inputs[2].reference.text(), "c:direct");
  // A version that one mention names is meant by the others.
  estimator.script_params = {{"--a", "dataset:mnist"}, {"--b", "dataset:mnist@1"}};
  EXPECT_EQ(inputs_of(estimator)->at(1).reference.version, 1);
  estimator.script_params.push_back({"--c", "dataset:mnist@2"});
  EXPECT_FALSE(inputs_of(estimator));
}

TEST(DatasetReference, VersionsAreWrittenIn) {
  const std::map<std::string, int> versions{{"mnist", 7}, {"mn", 9}};
  Estimator estimator{.script_params = {{"--a", "dataset:mnist:download"}, {"--b=dataset:mnist@2", ""}},
                      .inputs = {{"digits", "mnist"}}};
  const Estimator pinned = with_versions(estimator, versions);
  EXPECT_EQ(pinned.script_params, (KeyValues{{"--a", "dataset:mnist@7:download"}, {"--b=dataset:mnist@2", ""}}));
  EXPECT_EQ(pinned.inputs, (KeyValues{{"digits", "mnist@7"}}));
  const Estimator command =
      with_versions({.command = "train '--x=dataset:mn' dataset:mnist dataset:mnist:direct $RANK"}, versions);
  EXPECT_EQ(command.command, "train '--x=dataset:mn@9' dataset:mnist@7 dataset:mnist@7:direct $RANK");
}

class RegisteredFiles : public testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) {
    fs::create_directories((root_.path() / name).parent_path());
    std::ofstream(root_.path() / name) << text;
  }
  TemporaryDirectory root_;
  Workspace workspace_ = Workspace::create(root_.path(), "w").value();
};

TEST_F(RegisteredFiles, TheDigestOfAFolderIsThatOfItsFiles) {
  put("data/b", "22");
  put("data/a/c", "1");
  const DatasetContent content = look_at_dataset(root_.path() / "data").value();
  EXPECT_EQ(content.files, 2);
  EXPECT_EQ(content.bytes, 3);
  EXPECT_EQ(content.sha256, sha256("a/c 1 " + sha256("1") + "\nb 2 " + sha256("22") + "\n"));
  EXPECT_EQ(look_at_dataset(root_.path() / "data/b")->sha256, sha256("22"));
  EXPECT_EQ(look_at_dataset(root_.path() / "data", false)->sha256, "");
  const DatasetContent copied = copy_dataset(root_.path() / "data", root_.path() / "copy");
  EXPECT_EQ(copied.sha256, content.sha256);
  EXPECT_EQ(read_file(root_.path() / "copy/a/c"), "1");
  put("data/b", "23");  // another content, the same size
  EXPECT_NE(look_at_dataset(root_.path() / "data")->sha256, content.sha256);
  fs::create_directory(root_.path() / "empty");
  EXPECT_FALSE(look_at_dataset(root_.path() / "empty"));
  EXPECT_FALSE(look_at_dataset(root_.path() / "none"));
}

TEST_F(RegisteredFiles, ChangedContentsAreANewVersion) {
  put("data/a", "1");
  const auto add = [&] {
    const DatasetContent content = look_at_dataset(root_.path() / "data").value();
    DatasetRecord record;
    record.name = "set";
    record.path = root_.path() / "data";
    record.kind = "folder";
    record.sha256 = content.sha256;
    record.bytes = content.bytes;
    record.files = content.files;
    record.tags = {{"split", "train"}};
    return register_dataset(workspace_, record).value().version;
  };
  EXPECT_EQ(add(), 1);
  EXPECT_EQ(add(), 1);
  put("data/a", "2");
  EXPECT_EQ(add(), 2);
  const DatasetRecord found = find_dataset(workspace_, "set@2").value();
  EXPECT_EQ(found.kind, "folder");
  EXPECT_EQ(found.files, 1);
  EXPECT_EQ(found.tags.at("split"), "train");
  EXPECT_EQ(Dataset::get(workspace_, "set").as_named_input("d").as_download(), "dataset:set@2:download:as=d");
  EXPECT_EQ(Dataset::get(workspace_, "set", 1).as_named_input("d").as_mount("in"), "dataset:set@1:as=d:to=in");
  EXPECT_THROW((void)Dataset::get(workspace_, "set", 3), Failure);
  EXPECT_THROW((void)Dataset::get(workspace_, "set").as_named_input("no-name"), Failure);
  ASSERT_TRUE(remove_dataset(workspace_, "set", 2));
  EXPECT_EQ(find_dataset(workspace_, "set")->version, 1);
  EXPECT_FALSE(remove_dataset(workspace_, "set", 2));
  EXPECT_TRUE(fs::exists(root_.path() / "data/a"));
}

TEST_F(RegisteredFiles, RecordsOfEarlierVersionsAreRead) {
  put(".lockstep/datasets/old/1.json",
      R"({"name": "old", "version": 1, "path": "/x", "sha256": "", "bytes": 3, "source": "", "description": "",
          "created": "2020-01-01T00:00:00Z", "unknown": [1]})");
  EXPECT_EQ(find_dataset(workspace_, "old")->kind, "folder");
  put(".lockstep/datasets/new/1.json", R"({"format": 2, "path": "/x"})");
  EXPECT_NE(find_dataset(workspace_, "new").error().what.find("newer Lockstep"), std::string::npos);
}

}  // namespace
}  // namespace lockstep
