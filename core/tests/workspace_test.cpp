#include "lockstep/core/workspace.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

TEST(Workspace, IsCreatedOnceAndFoundUpward) {
  TemporaryDirectory folder;
  const auto made = Workspace::create(folder / "project", "vision-1");
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->name(), "vision-1");
  EXPECT_EQ(made->root(), folder / "project/.lockstep");
  EXPECT_EQ(made->runs(), folder / "project/.lockstep/runs");
  EXPECT_EQ(made->datasets(), folder / "project/.lockstep/datasets");

  const auto config = nlohmann::json::parse(contents(folder / "project/.lockstep/config.json"));
  EXPECT_EQ(config.at("workspace"), "vision-1");
  EXPECT_EQ(config.at("root"), (folder / "project/.lockstep").string());

  fs::create_directories(folder / "project/a/b");
  const auto found = Workspace::from_config(folder / "project/a/b");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->root(), made->root());
  EXPECT_EQ(found->name(), "vision-1");

  const auto again = Workspace::create(folder / "project/", "another-name");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->name(), "vision-1");
}

TEST(Workspace, TheNearestOneCounts) {
  TemporaryDirectory folder;
  ASSERT_TRUE(Workspace::create(folder.path(), "outer"));
  ASSERT_TRUE(Workspace::create(folder / "x/y", "inner"));
  fs::create_directories(folder / "x/y/z");
  fs::create_directories(folder / "x/.lockstep");  // without a config: no workspace
  EXPECT_EQ(Workspace::from_config(folder / "x/y/z")->name(), "inner");
  EXPECT_EQ(Workspace::from_config(folder / "x")->name(), "outer");
}

TEST(Workspace, CanBeMoved) {
  TemporaryDirectory folder;
  ASSERT_TRUE(Workspace::create(folder / "before"));
  fs::rename(folder / "before", folder / "after");
  const auto found = Workspace::from_config(folder / "after");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name(), "before");
  EXPECT_EQ(found->root(), folder / "after/.lockstep");
}

TEST(Workspace, NoneSaysWhereItLooked) {
  TemporaryDirectory folder;
  const auto none = Workspace::from_config(folder / "a/../b");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::usage);
  EXPECT_EQ(none.error().what, "there is no workspace: no .lockstep/config.json in " + (folder / "b").string() +
                                   " or in a directory above it");
}

TEST(Workspace, IsCreatedWhereNoneIsWithANotice) {
  TemporaryDirectory folder;
  testing::internal::CaptureStderr();
  const auto made = Workspace::find_or_create(folder.path());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "lockstep: new workspace " + folder.path().filename().string() +
                                                        " in " + (folder / ".lockstep").string() + "\n");
  ASSERT_TRUE(made);
  testing::internal::CaptureStderr();
  EXPECT_EQ(Workspace::find_or_create(folder.path())->root(), made->root());
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Workspace, NamesItselfAfterAnyDirectory) {
  TemporaryDirectory folder;
  EXPECT_EQ(Workspace::create(folder / "my project (2)")->name(), "my_project__2_");
  EXPECT_EQ(Workspace::create(folder / "._-")->name(), "workspace");
  EXPECT_EQ(Workspace::create(folder / std::string(200, 'n'))->name(), std::string(128, 'n'));
}

TEST(Workspace, WrongInput) {
  TemporaryDirectory folder;
  const auto bad = Workspace::create(folder.path(), "a b");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::usage);
  EXPECT_EQ(bad.error().what, "'a b' cannot name a workspace");
  EXPECT_FALSE(fs::exists(folder / ".lockstep"));

  write_contents(folder / "file", "x");
  EXPECT_EQ(Workspace::create(folder / "file/inside").error().kind, ErrorKind::environment);

  fs::create_directories(folder / "w/.lockstep");
  for (const char* text : {"", "{", "[]", "{\"workspace\": 3}", "{\"workspace\": \"../x\"}", "{}"}) {
    write_contents(folder / "w/.lockstep/config.json", text);
    const auto damaged = Workspace::find_or_create(folder / "w");
    ASSERT_FALSE(damaged) << text;
    EXPECT_EQ(damaged.error().kind, ErrorKind::corrupt_data);
    EXPECT_EQ(damaged.error().where, (folder / "w/.lockstep/config.json").string());
  }
}

TEST(Workspace, ManyCreatorsAgree) {
  TemporaryDirectory folder;
  const auto made =
      in_children(8, [&](int i) { return Workspace::create(folder / "w", "name" + std::to_string(i)) ? 1 : 0; });
  EXPECT_EQ(made, std::vector<int>(8, 1));
  EXPECT_TRUE(Workspace::from_config(folder / "w"));
}

TEST(ValidName, FollowsTheGrammar) {
  for (const char* name : {"a", "7", "cifar-10", "A.b_c-9", "x..y"}) EXPECT_TRUE(is_valid_name(name)) << name;
  for (const char* name : {"", ".", "..", "-a", "_a", ".a", "a/b", "a b", "a\n", "ä", "a@1"})
    EXPECT_FALSE(is_valid_name(name)) << name;
  EXPECT_TRUE(is_valid_name(std::string(128, 'x')));
  EXPECT_FALSE(is_valid_name(std::string(129, 'x')));
  EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
}

}  // namespace
}  // namespace lockstep
