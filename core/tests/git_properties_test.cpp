#include "lockstep/core/git_properties.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class Git : public testing::Test {
 protected:
  void SetUp() override {
    if (!find_program("git", std::getenv("PATH"))) GTEST_SKIP() << "git is not installed";
    git({"init", "-q", "-b", "main"});
  }

  std::string git(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {"git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"});
    const auto result = capture({.argv = arguments, .directory = directory_.path()}, 30).value();
    EXPECT_EQ(result.status.code, 0) << result.error;
    return result.output;
  }

  void commit_file(const std::string& path) {
    fs::create_directories((directory_.path() / path).parent_path());
    std::ofstream(directory_.path() / path) << "text\n";
    git({"add", "."});
    git({"commit", "-q", "-m", "message"});
  }

  TemporaryDirectory directory_;
};

TEST_F(Git, TellsCommitBranchAndRemote) {
  commit_file("src/train.py");
  git({"remote", "add", "origin", "https://me:s3cr3t@example.org/x.git"});
  const auto found = git_properties(directory_.path() / "src").value();
  EXPECT_EQ(found.commit + "\n", git({"rev-parse", "HEAD"}));
  EXPECT_EQ(found.branch, "main");
  EXPECT_EQ(found.remote, "https://example.org/x.git");
  EXPECT_EQ(found.directory, "src");
  EXPECT_FALSE(found.dirty);
  EXPECT_EQ(to_json(found).at("branch"), "main");
}

TEST_F(Git, OnlyTheSourceDirectoryCanBeDirty) {
  commit_file("src/train.py");
  std::ofstream(directory_.path() / "elsewhere") << "x";
  EXPECT_FALSE(git_properties(directory_.path() / "src")->dirty);
  std::ofstream(directory_.path() / "src/new") << "x";
  EXPECT_TRUE(git_properties(directory_.path() / "src")->dirty);
}

TEST_F(Git, WithoutACommitOrABranch) {
  const auto fresh = git_properties(directory_.path()).value();
  EXPECT_EQ(fresh.commit, "");
  EXPECT_EQ(fresh.branch, "main");
  EXPECT_EQ(fresh.directory, "");
  commit_file("a");
  git({"checkout", "-q", "--detach"});
  EXPECT_EQ(git_properties(directory_.path())->branch, "");
}

TEST_F(Git, NothingOutsideARepository) {
  TemporaryDirectory elsewhere;
  EXPECT_FALSE(git_properties(elsewhere.path()));
  EXPECT_FALSE(git_properties(elsewhere.path() / "gone"));
}

TEST(GitAddress, CredentialsAreTakenOut) {
  EXPECT_EQ(without_credentials("https://user:p@ss@host.org:8443/a@b.git"), "https://host.org:8443/a@b.git");
  EXPECT_EQ(without_credentials("https://token@host"), "https://host");
  EXPECT_EQ(without_credentials("https://host/a@b"), "https://host/a@b");
  EXPECT_EQ(without_credentials("git@host:x.git"), "git@host:x.git");
  EXPECT_EQ(without_credentials(""), "");
}

}  // namespace
}  // namespace lockstep
