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

TEST_F(Git, WhatDiffersFromTheCommitIsKept) {
  commit_file("src/train.py");
  git({"tag", "v1"});
  const fs::path source = directory_.path() / "src";
  EXPECT_EQ(git_properties(source)->diff, "");
  EXPECT_EQ(git_properties(source)->description, "v1");
  std::ofstream(source / "train.py") << "changed\n";
  std::ofstream(source / "new file") << "x";
  const GitProperties found = git_properties(source).value();
  EXPECT_NE(found.diff.find("-text\n+changed\n"), std::string::npos) << found.diff;
  EXPECT_FALSE(found.diff_is_cut);
  EXPECT_EQ(found.untracked, (std::vector<std::string>{"new file"}));
  EXPECT_EQ(found.description, "v1-dirty");
  std::ofstream(directory_.path() / "patch") << found.diff;  // it can be applied
  git({"stash", "-q"});
  git({"apply", "patch"});
  std::ofstream(source / "train.py") << std::string(3'000'000, 'y') << "\n" << std::string(20, 'z');
  const GitProperties large = git_properties(source).value();
  EXPECT_TRUE(large.diff_is_cut);
  EXPECT_LE(large.diff.size(), kMostDiffBytes);
  for (int i = 0; i < 150; ++i) std::ofstream(source / ("f" + std::to_string(i))) << "x";
  EXPECT_EQ(git_properties(source)->untracked.size(), 100u);
  EXPECT_EQ(git_properties(source)->untracked_count, 151);
  const auto json = to_json(found);
  EXPECT_EQ(to_json(git_properties_from_json(json)).at("untracked"), json.at("untracked"));
}

TEST_F(Git, ARemoteOfAnyName) {
  commit_file("a");
  EXPECT_EQ(git_properties(directory_.path())->remote, "");
  git({"remote", "add", "upstream", "https://me@example.org/y.git?token=s3cr3t"});
  git({"config", "branch.main.remote", "upstream"});
  const GitProperties found = git_properties(directory_.path()).value();
  EXPECT_EQ(found.remote, "https://example.org/y.git");
  const auto named = azure_git_properties(found);
  EXPECT_EQ(named.at("azureml.git.repository_uri"), "https://example.org/y.git");
  EXPECT_EQ(named.at("mlflow.source.git.branch"), "main");
  EXPECT_EQ(named.at("azureml.git.dirty"), "False");
}

TEST_F(Git, SubmodulesWithTheirCommits) {
  const TemporaryDirectory other;
  capture({.argv = {"git", "init", "-q", "-b", "main"}, .directory = other.path()}, 30).value();
  std::ofstream(other.path() / "b") << "x";
  for (const std::vector<std::string>& words : {std::vector<std::string>{"add", "."}, {"commit", "-q", "-m", "m"}}) {
    std::vector<std::string> argv{"git", "-c", "user.name=A", "-c", "user.email=a@example.org"};
    argv.insert(argv.end(), words.begin(), words.end());
    capture({.argv = argv, .directory = other.path()}, 30).value();
  }
  commit_file("a");
  git({"-c", "protocol.file.allow=always", "submodule", "--quiet", "add", other.path().string(), "lib"});
  const auto found = git_properties(directory_.path()).value().submodules;
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.begin()->first, "lib");
  EXPECT_EQ(found.begin()->second.size(), 40u);
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
