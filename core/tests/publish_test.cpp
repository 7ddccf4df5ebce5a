#include "lockstep/core/publish.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "lockstep/core/error.h"
#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// 0 when publishing fails with an environment error whose text holds `reason`.
int expect_failure(const fs::path& path, std::string_view bytes, const std::string& reason) {
  try {
    publish_file(path, bytes);
  } catch (const Failure& failure) {
    const std::string& what = failure.error().what;
    const bool named = what.find(path.string()) != std::string::npos && what.find(reason) != std::string::npos;
    if (named && failure.error().kind == ErrorKind::environment) return 0;
    std::fprintf(stderr, "unexpected: %s\n", what.c_str());
    return 2;
  }
  return 1;
}

unsigned mode_of(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

TEST(Publish, ReplacesTheWholeFileAndLeavesNothingElse) {
  TemporaryDirectory folder;
  std::string bytes(70'001, '\0');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  publish_file(folder / "run.json", "old");
  publish_file(folder / "run.json", bytes);
  EXPECT_EQ(read_file(folder / "run.json"), bytes);
  publish_file(folder / "run.json", "");
  EXPECT_EQ(read_file(folder / "run.json"), "");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"run.json"});
}

TEST(Publish, NewFilesGetTheModeAndOldOnesKeepTheirs) {
  TemporaryDirectory folder;
  const mode_t mask = ::umask(077);
  publish_file(folder / "private", "x");
  publish_file(folder / "shared", "x", 0640);
  ::chmod((folder / "private").c_str(), 0604);
  publish_file(folder / "private", "y");
  ::umask(mask);
  EXPECT_EQ(mode_of(folder / "shared"), 0640u);
  EXPECT_EQ(mode_of(folder / "private"), 0604u);
}

TEST(Publish, ReadersSeeOldBytesOrNewOnesNeverAMixture) {
  TemporaryDirectory folder;
  const std::string a(200'000, 'a'), b(150'000, 'b');
  publish_file(folder / "f", a);
  std::thread writer([&] {
    for (int i = 0; i < 60; ++i) publish_file(folder / "f", i % 2 == 0 ? b : a);
  });
  for (int i = 0; i < 300; ++i) {
    const std::string seen = read_file(folder / "f");
    EXPECT_TRUE(seen == a || seen == b) << seen.size();
  }
  writer.join();
}

TEST(Publish, BeyondTheFileSizeLimitTheOldFileStays) {
  TemporaryDirectory folder;
  publish_file(folder / "f", "old");
  EXPECT_EQ(0, in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              const rlimit limit{4096, 4096};
              ::setrlimit(RLIMIT_FSIZE, &limit);
              return expect_failure(folder / "f", std::string(10'000, 'x'), "File too large");
            }));
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
}

TEST(Publish, OnAFullDiskTheOldFileStays) {
  TemporaryDirectory folder;
  if (::mount("none", folder.path().c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "needs root to mount a small disk";
  publish_file(folder / "f", "old");
  EXPECT_EQ(0, expect_failure(folder / "f", std::string(100'000, 'x'), "No space left on device"));
  EXPECT_EQ(read_file(folder / "f"), "old");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
  publish_file(folder / "f", "room for this");
  EXPECT_EQ(read_file(folder / "f"), "room for this");
  ::umount(folder.path().c_str());
}

TEST(Publish, InAnUnwritableDirectoryTheOldFileStays) {
  TemporaryDirectory folder;
  publish_file(folder / "f", "old", 0644);
  ::chmod(folder.path().c_str(), 0555);
  EXPECT_EQ(0, in_child([&] {
              if (::geteuid() == 0 && ::setuid(65534) != 0) return 3;  // permissions do not bind root
              return expect_failure(folder / "f", "new", "Permission denied");
            }));
  ::chmod(folder.path().c_str(), 0755);
  EXPECT_EQ(read_file(folder / "f"), "old");
}

TEST(Publish, ADirectoryOfThatNameStays) {
  TemporaryDirectory folder;
  fs::create_directories(folder / "f/inside");
  EXPECT_EQ(0, expect_failure(folder / "f", "new", "Is a directory"));
  EXPECT_EQ(0, expect_failure(folder / "absent/f", "new", "No such file or directory"));
  EXPECT_TRUE(fs::is_directory(folder / "f/inside"));
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
}

TEST(PublishNew, NeverReplaces) {
  TemporaryDirectory folder;
  EXPECT_TRUE(publish_new_file(folder / "1.json", "first"));
  EXPECT_FALSE(publish_new_file(folder / "1.json", "second"));
  EXPECT_EQ(read_file(folder / "1.json"), "first");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"1.json"});
}

TEST(PublishNew, OfManyProcessesOneClaimsTheName) {
  TemporaryDirectory folder;
  for (int round = 0; round < 10; ++round) {
    const fs::path path = folder / ("v" + std::to_string(round));
    const auto claimed =
        in_children(8, [&](int i) { return publish_new_file(path, "process " + std::to_string(i)) ? 1 : 0; });
    ASSERT_EQ(std::count(claimed.begin(), claimed.end(), 1), 1);
    ASSERT_EQ(std::count(claimed.begin(), claimed.end(), 0), 7);
    const auto winner = std::find(claimed.begin(), claimed.end(), 1) - claimed.begin();
    EXPECT_EQ(read_file(path), "process " + std::to_string(winner));
  }
  EXPECT_EQ(names_in(folder.path()).size(), 10u);
}

TEST(ReadFile, SaysWhatIsWrong) {
  TemporaryDirectory folder;
  write_contents(folder / "big", std::string(101, 'x'));
  EXPECT_EQ(read_file(folder / "big", 101).size(), 101u);
  try {
    (void)read_file(folder / "big", 100);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::corrupt_data);
    EXPECT_EQ(failure.error().what, (folder / "big").string() + " is larger than the limit of 100 bytes");
  }
  try {
    (void)read_file(folder / "absent");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    EXPECT_EQ(failure.error().what, "cannot read " + (folder / "absent").string() + ": No such file or directory");
  }
  EXPECT_THROW((void)read_file(folder.path()), Failure);
}

TEST(MakeDirectories, MakesThemPrivateAndTakesExistingOnes) {
  TemporaryDirectory folder;
  make_directories(folder / "a/b/c/");
  make_directories(folder / "a/b/c");
  EXPECT_EQ(mode_of(folder / "a/b/c"), 0700u);
  EXPECT_EQ(mode_of(folder / "a"), 0700u);
  write_contents(folder / "file", "x");
  EXPECT_THROW(make_directories(folder / "file/inside"), Failure);
  EXPECT_THROW(make_directories(folder / "file"), Failure);
}

}  // namespace
}  // namespace lockstep
