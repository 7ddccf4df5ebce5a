#include "lockstep/core/dataset_registry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

class Registry : public testing::Test {
 protected:
  TemporaryDirectory folder;
  Workspace workspace = Workspace::create(folder.path(), "w").value();

  DatasetRecord sample(const std::string& name, const std::string& path, const std::string& digest = "00ff") {
    return {.name = name,
            .path = path,
            .sha256 = digest,
            .bytes = 31'415'926'535,
            .source = "https://example.org/ä.gz",
            .description = "60,000 images",
            .created = ""};
  }
};

TEST_F(Registry, KeepsWhatWasRegistered) {
  const auto made = register_dataset(workspace, sample("fashion-mnist", "/data/x/../train.h5"));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->version, 1);
  const auto found = find_dataset(workspace, "fashion-mnist");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "fashion-mnist");
  EXPECT_EQ(found->path, "/data/train.h5");
  EXPECT_EQ(found->sha256, "00ff");
  EXPECT_EQ(found->bytes, 31'415'926'535);
  EXPECT_EQ(found->source, "https://example.org/ä.gz");
  EXPECT_EQ(found->description, "60,000 images");
  EXPECT_EQ(found->created, made->created);
  EXPECT_EQ(found->created.size(), std::string("2026-01-02T03:04:05Z").size());
}

TEST_F(Registry, OnlyChangesMakeANewVersion) {
  EXPECT_EQ(register_dataset(workspace, sample("d", "/a"))->version, 1);
  EXPECT_EQ(register_dataset(workspace, sample("d", "/a"))->version, 1);
  EXPECT_EQ(register_dataset(workspace, sample("d", "/a", "other"))->version, 2);
  EXPECT_EQ(register_dataset(workspace, sample("d", "/b", "other"))->version, 3);
  EXPECT_EQ(register_dataset(workspace, sample("d", "/a"))->version, 4);  // only the newest is compared
  EXPECT_EQ(find_dataset(workspace, "d@2")->sha256, "other");
  EXPECT_EQ(find_dataset(workspace, "d@2")->path, "/a");
  EXPECT_EQ(find_dataset(workspace, "d")->version, 4);
}

TEST_F(Registry, TheTenthVersionIsNewerThanTheNinth) {
  for (int i = 1; i <= 11; ++i)
    ASSERT_EQ(register_dataset(workspace, sample("d", "/" + std::to_string(i)))->version, i);
  EXPECT_EQ(find_dataset(workspace, "d")->path, "/11");
}

TEST_F(Registry, ListsAllSortedAndSaysWhatIsDamaged) {
  ASSERT_TRUE(register_dataset(workspace, sample("b", "/1")));
  ASSERT_TRUE(register_dataset(workspace, sample("b", "/2")));
  ASSERT_TRUE(register_dataset(workspace, sample("a", "/3")));
  write_contents(workspace.datasets() / "b/3.json", "{\"path\":");
  write_contents(workspace.datasets() / "b/03.json", "not a version");
  write_contents(workspace.datasets() / "b/README", "not a record");
  std::vector<std::string> warnings, seen;
  for (const auto& record : list_datasets(workspace, &warnings))
    seen.push_back(record.name + std::to_string(record.version));
  EXPECT_EQ(seen, (std::vector<std::string>{"a1", "b1", "b2"}));
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("the record of data set b version 3 is damaged"), std::string::npos) << warnings[0];
  EXPECT_EQ(find_dataset(workspace, "b").error().kind, ErrorKind::corrupt_data);
  EXPECT_EQ(register_dataset(workspace, sample("b", "/2"))->version, 4);  // a damaged newest record never matches
}

TEST_F(Registry, UnknownNamesAndVersions) {
  const auto none = find_dataset(workspace, "cifar10");
  EXPECT_EQ(none.error().what,
            "there is no data set 'cifar10'; none is registered in " + workspace.datasets().string());
  EXPECT_EQ(none.error().kind, ErrorKind::usage);
  ASSERT_TRUE(register_dataset(workspace, sample("cifar10", "/1")));
  ASSERT_TRUE(register_dataset(workspace, sample("cifar10", "/2")));
  EXPECT_EQ(find_dataset(workspace, "cifra10").error().what, "there is no data set 'cifra10'; did you mean cifar10?");
  for (const char* version : {"0", "3", "-1", "1x", "", "01", "99999999999"}) {
    EXPECT_EQ(find_dataset(workspace, std::string("cifar10@") + version).error().what,
              std::string("data set cifar10 has no version '") + version + "'; it has 1 to 2");
  }
  EXPECT_EQ(find_dataset(workspace, "../../etc").error().kind, ErrorKind::usage);
  EXPECT_EQ(register_dataset(workspace, sample("../x", "/1")).error().what, "'../x' cannot name a data set");
}

TEST_F(Registry, ProcessesAtOnceGetDistinctVersions) {
  for (const char* name : {"p", "q", "r", "s"}) {
    auto versions = in_children(
        8, [&](int i) { return register_dataset(workspace, sample(name, "/" + std::to_string(i))).value().version; });
    std::sort(versions.begin(), versions.end());
    std::vector<int> expected(8);
    std::iota(expected.begin(), expected.end(), 1);
    EXPECT_EQ(versions, expected);
    EXPECT_EQ(names_in(workspace.datasets() / name).size(), 8u);
  }
}

}  // namespace
}  // namespace lockstep
