#include "lockstep/core/snapshot.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <thread>

#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/sha256.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class Snapshot : public testing::Test {
 protected:
  Snapshot() { fs::create_directory(source_); }

  void put(const std::string& path, const std::string& text = "x", int mode = 0644) {
    fs::create_directories((source_ / path).parent_path());
    std::ofstream(source_ / path, std::ios::binary) << text;
    ::chmod((source_ / path).c_str(), static_cast<mode_t>(mode));
  }

  Result<SnapshotPlan> plan(std::int64_t bytes = 1'000'000, std::int64_t files = 1000) {
    return plan_snapshot(source_, bytes, files);
  }

  std::vector<std::string> names() {
    std::vector<std::string> result;
    const SnapshotPlan planned = plan().value();
    for (const SnapshotFile& file : planned.files) result.push_back(file.path);
    return result;
  }

  using Names = std::vector<std::string>;
  TemporaryDirectory directory_;
  fs::path source_ = directory_.path() / "src";
  ObjectStore objects_ = ObjectStore(directory_.path() / "objects");
};

TEST_F(Snapshot, ListsFilesSortedWithDigests) {
  put("b/train.py", "print(1)\n");
  put("a", "A", 0755);
  put("b-c", "");
  const SnapshotPlan planned = plan().value();
  EXPECT_EQ(names(), (Names{"a", "b-c", "b/train.py"}));
  EXPECT_TRUE(planned.files[0].executable);
  EXPECT_FALSE(planned.files[2].executable);
  EXPECT_EQ(planned.files[2].sha256, sha256("print(1)\n"));
  EXPECT_EQ(planned.total_bytes, 10);
  EXPECT_EQ(planned.source, source_);
}

TEST_F(Snapshot, OddNamesAreKept) {
  const Names odd{"\x80\xff not utf8", " leading", "new\nline", "quote'\"", "trailing "};
  for (const std::string& name : odd) put(name, name);
  put("-dash");
  const fs::path taken = directory_.path() / "snap";
  take_snapshot(plan().value(), taken, objects_).value();
  for (const std::string& name : odd) EXPECT_EQ(read_file(taken / name), name);
}

TEST_F(Snapshot, EqualTreesHaveEqualDigestsAndAnyChangeShows) {
  put("a", "one");
  put("dir/b", "two");
  fs::create_symlink("dir/b", source_ / "link");
  const std::string digest = plan()->digest;
  EXPECT_EQ(digest.size(), 64u);
  EXPECT_EQ(plan()->digest, digest);
  const std::vector<std::function<void()>> changes{[&] { put("a", "One"); }, [&] { put("a", "one", 0755); },
                                                   [&] { fs::rename(source_ / "a", source_ / "c"); },
                                                   [&] { put("new"); },
                                                   [&] {
                                                     fs::remove(source_ / "link");
                                                     fs::create_symlink("a", source_ / "link");
                                                   }};
  const auto copy = directory_.path() / "copy";
  for (const auto& change : changes) {
    fs::copy(source_, copy, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    change();
    EXPECT_NE(plan()->digest, digest);
    fs::remove_all(source_);
    fs::rename(copy, source_);
    EXPECT_EQ(plan()->digest, digest);
  }
}

TEST_F(Snapshot, TheFirstIgnoreFileCounts) {
  for (const char* file : {"git", "lockstep", "aml", "none"}) put(file);
  put(".gitignore", "git\n");
  EXPECT_EQ(names(), (Names{".gitignore", "aml", "lockstep", "none"}));
  put(".lockstepignore", "lockstep\n");
  EXPECT_EQ(names(), (Names{".gitignore", ".lockstepignore", "aml", "git", "none"}));
  put(".amlignore", "aml\n");
  EXPECT_EQ(names(), (Names{".amlignore", ".gitignore", ".lockstepignore", "git", "lockstep", "none"}));
  EXPECT_EQ(plan()->ignore_file, ".amlignore");
}

TEST_F(Snapshot, IgnoreFilesBelowAddToTheOneAbove) {
  put(".gitignore", "*.log\ndata/\n");
  put("sub/.gitignore", "!keep.log\n/only.txt\n");
  for (const char* file :
       {"a.log", "sub/keep.log", "sub/b.log", "sub/only.txt", "sub/deep/only.txt", "data/x", "sub/data/y"})
    put(file);
  EXPECT_EQ(names(), (Names{".gitignore", "sub/.gitignore", "sub/deep/only.txt", "sub/keep.log"}));
}

TEST_F(Snapshot, WhatIsNeverTaken) {
  put(".git/config");
  put("sub/.git/config");
  put(".lockstep/runs/x");
  put("outputs/model");
  put("logs/log");
  put("sub/outputs/kept");
  put("train.py");
  EXPECT_EQ(names(), (Names{"sub/outputs/kept", "train.py"}));
  EXPECT_EQ(plan()->notices.size(), 2u);
}

TEST_F(Snapshot, SpecialFilesAreLeftOut) {
  put("file");
  ASSERT_EQ(::mkfifo((source_ / "pipe").c_str(), 0600), 0);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = (source_ / "socket").string();
  ASSERT_LT(name.size(), sizeof address.sun_path);
  name.copy(address.sun_path, name.size());
  ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(socket);
  EXPECT_EQ(names(), (Names{"file"}));
}

TEST_F(Snapshot, LinksInsideAreKeptAsLinks) {
  put("dir/file", "text");
  fs::create_symlink("dir/file", source_ / "link");
  fs::create_symlink("../link", source_ / "dir/back");
  fs::create_symlink("nowhere", source_ / "dangling");
  fs::create_directory_symlink("dir", source_ / "folder");
  EXPECT_EQ(names(), (Names{"dangling", "dir/back", "dir/file", "folder", "link"}));
  const fs::path taken = directory_.path() / "snap";
  take_snapshot(plan().value(), taken, objects_).value();
  EXPECT_EQ(fs::read_symlink(taken / "dir/back"), "../link");
  EXPECT_EQ(read_file(taken / "dir/back"), "text");
}

TEST_F(Snapshot, LinksOutOfTheDirectoryAreRefused) {
  put("file");
  std::ofstream(directory_.path() / "outside") << "x";
  const auto refused = [&](const char* target) {
    fs::create_symlink(target, source_ / "link");
    const auto planned = plan();
    fs::remove(source_ / "link");
    return planned ? Error{} : planned.error();
  };
  const Error absolute = refused("/etc/passwd");
  EXPECT_EQ(absolute.kind, ErrorKind::usage);
  EXPECT_EQ(
      absolute.message(),
      (source_ / "link").string() +
          ": is a link to the absolute path /etc/passwd\n  to leave it out of the snapshot add the line /link to " +
          (source_ / ".lockstepignore").string());
  EXPECT_EQ(refused("../outside").what, "is a link out of the source directory, to ../outside");
  EXPECT_EQ(refused("../gone").what, "is a link out of the source directory, to ../gone");
  fs::create_directory_symlink(".", source_ / "here");
  EXPECT_EQ(refused("here/../outside").what,
            "is a link out of the source directory, to here/../outside");  // by its words it stays inside
  put(".gitignore", "/link\n");
  EXPECT_EQ(refused("/etc/passwd").what, "");
}

TEST_F(Snapshot, AFileThatCannotBeReadIsNamed) {
  put("open");
  put("closed", "x", 0000);
  ::chmod(directory_.path().c_str(), 0755);
  const pid_t child = ::fork();  // root reads everything: be somebody else
  if (child == 0) {
    if (::geteuid() == 0 && ::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
    const auto planned = plan();
    const std::string expected = (source_ / "closed").string() + ": cannot be read: Permission denied\n";
    ::_exit(!planned && planned.error().kind == ErrorKind::usage && planned.error().message().rfind(expected, 0) == 0
                ? 0
                : 1);
  }
  EXPECT_EQ(wait_process(child).code, 0);
}

TEST_F(Snapshot, TooManyBytesNamesTheTenLargestAndTheLineToAdd) {
  for (int i = 10; i < 22; ++i)
    put("data/part_" + std::to_string(i), std::string(static_cast<std::size_t>(1000 * i), 'x'));
  put("train.py", std::string(500, 'p'));
  const auto planned = plan(150'000);
  ASSERT_FALSE(planned);
  EXPECT_EQ(planned.error().kind, ErrorKind::usage);
  EXPECT_EQ(planned.error().what,
            "too large for a snapshot: 186.5 kB in 13 files; the limits are 150.0 kB (snapshot_limit_bytes) and 1000 "
            "files (snapshot_limit_files)");
  std::string expected = "the largest files:\n  ";
  for (int i = 21; i >= 12; --i)
    expected += "   " + std::to_string(i) + ".0 kB  data/part_" + std::to_string(i) + "\n  ";
  expected += "leave out what the ranks do not need, for example by the line /data/ in " +
              (source_ / ".lockstepignore").string() + ", or raise the limit";
  EXPECT_EQ(planned.error().hint, expected);
  put(".gitignore", "nothing\n");
  EXPECT_NE(plan(150'000).error().hint.find("the line /data/ in " + (source_ / ".gitignore").string()),
            std::string::npos);
  put(".gitignore", "/data/\n");  // the advice works
  EXPECT_TRUE(plan(150'000));
}

TEST_F(Snapshot, TooManyFiles) {
  put("big", std::string(5000, 'x'));
  for (int i = 0; i < 30; ++i) put("cache/" + std::to_string(i));
  EXPECT_TRUE(plan(1'000'000, 31));
  const Error error = plan(1'000'000, 30).error();
  EXPECT_EQ(error.what.rfind("too large for a snapshot: 5.0 kB in 31 files; ", 0), 0u) << error.what;
  EXPECT_NE(error.hint.find("the line /cache/ in "), std::string::npos) << error.hint;
}

TEST_F(Snapshot, CopiesAreExactAndReadOnly) {
  put("bin/tool", std::string(700'001, 'b'), 0755);
  put("empty", "");
  const SnapshotPlan planned = plan().value();
  const fs::path taken = directory_.path() / "snap";
  EXPECT_EQ(take_snapshot(planned, taken, objects_)->digest, planned.digest);
  EXPECT_EQ(read_file(taken / "bin/tool"), std::string(700'001, 'b'));
  EXPECT_EQ(fs::status(taken / "bin/tool").permissions(), fs::perms(0500));
  EXPECT_EQ(fs::status(taken / "empty").permissions(), fs::perms(0400));
  EXPECT_EQ(plan_snapshot(taken, 1'000'000, 10)->digest, planned.digest);

  copy_snapshot(planned, taken, directory_.path() / "work");
  EXPECT_EQ(fs::status(directory_.path() / "work/bin/tool").permissions(), fs::perms(0700));
  std::ofstream(directory_.path() / "work/empty") << "written by a rank";
  EXPECT_EQ(read_file(taken / "empty"), "");
}

// Someone writes a log, or saves a source, while a run is submitted.
TEST_F(Snapshot, AFileThatChangedMeanwhileIsTakenAsItIsCopied) {
  put("a", "aa");
  put("sub/b", "bb");
  const SnapshotPlan planned = plan().value();
  put("sub/b", "b!!");
  const SnapshotPlan taken = take_snapshot(planned, directory_.path() / "snap", objects_).value();
  EXPECT_EQ(read_file(directory_.path() / "snap/sub/b"), "b!!");
  EXPECT_NE(taken.digest, planned.digest);
  EXPECT_EQ(taken.digest, plan()->digest);
  EXPECT_EQ(taken.files[1].sha256, sha256("b!!"));
  EXPECT_EQ(taken.total_bytes, 5);
  copy_snapshot(taken, directory_.path() / "snap", directory_.path() / "work");
  EXPECT_EQ(read_file(directory_.path() / "work/sub/b"), "b!!");
}

// However fast it grows: the copies end, and agree with their digest.
TEST_F(Snapshot, AFileThatGrowsAllTheTimeIsTaken) {
  put("log");
  const SnapshotPlan planned = plan().value();
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    std::ofstream log(source_ / "log", std::ios::app);
    while (!stop) log << "one more line\n" << std::flush;
  });
  const auto taken = take_snapshot(planned, directory_.path() / "snap", objects_);
  stop = true;
  writer.join();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->files[0].sha256, sha256(read_file(directory_.path() / "snap/log")));
}

TEST_F(Snapshot, AFileThatIsGoneMeanwhileIsNamedAndNothingIsLeft) {
  put("a", "aa");
  put("sub/b", "bb");
  const SnapshotPlan planned = plan().value();
  fs::remove(source_ / "sub/b");
  const auto taken = take_snapshot(planned, directory_.path() / "snap", objects_);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::environment);
  EXPECT_EQ(taken.error().what, "cannot read " + (source_ / "sub/b").string() + ": No such file or directory");
  EXPECT_FALSE(fs::exists(directory_.path() / "snap"));
}

TEST_F(Snapshot, WhatIsThereAlreadyIsNotTouched) {
  put("a");
  fs::create_directory(directory_.path() / "snap");
  std::ofstream(directory_.path() / "snap/precious") << "x";
  EXPECT_FALSE(take_snapshot(plan().value(), directory_.path() / "snap", objects_));
  EXPECT_TRUE(fs::exists(directory_.path() / "snap/precious"));
}

ino_t inode(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0) << path;
  return status.st_ino;
}

TEST_F(Snapshot, UnchangedFilesAreOneFileOfAllRuns) {
  put("a", "same");
  put("tool", "same", 0755);
  put("b", "first");
  ASSERT_TRUE(take_snapshot(plan().value(), directory_.path() / "one", objects_));
  put("b", "second");
  const SnapshotPlan planned = plan().value();
  ASSERT_TRUE(take_snapshot(planned, directory_.path() / "two", objects_));
  EXPECT_EQ(inode(directory_.path() / "one/a"), inode(directory_.path() / "two/a"));
  EXPECT_EQ(inode(directory_.path() / "one/a"), inode(objects_.path(sha256("same"), false)));
  EXPECT_NE(inode(directory_.path() / "one/a"), inode(directory_.path() / "one/tool"));  // another mode
  EXPECT_NE(inode(directory_.path() / "one/b"), inode(directory_.path() / "two/b"));
  // Where ranks work nothing is shared.
  copy_snapshot(planned, directory_.path() / "two", directory_.path() / "work");
  EXPECT_NE(inode(directory_.path() / "work/a"), inode(directory_.path() / "two/a"));
  std::ofstream(directory_.path() / "work/a") << "written by a rank";
  EXPECT_EQ(read_file(directory_.path() / "one/a"), "same");
}

// Root, or a rank that found it, may write to an object in spite of its mode.
TEST_F(Snapshot, AnObjectThatWasWrittenToIsReplaced) {
  put("a", "same");
  ASSERT_TRUE(take_snapshot(plan().value(), directory_.path() / "one", objects_));
  const fs::path object = objects_.path(sha256("same"), false);
  ::chmod(object.c_str(), 0600);
  std::ofstream(object) << "SAME";
  ::chmod(object.c_str(), 0400);
  ASSERT_TRUE(take_snapshot(plan().value(), directory_.path() / "two", objects_));
  EXPECT_EQ(read_file(directory_.path() / "two/a"), "same");
  EXPECT_EQ(read_file(object), "same");
  fs::remove(object);  // gone altogether
  ASSERT_TRUE(take_snapshot(plan().value(), directory_.path() / "three", objects_));
  EXPECT_EQ(inode(directory_.path() / "three/a"), inode(object));
}

TEST_F(Snapshot, WithoutHardLinksFilesAreCopied) {
  const fs::path elsewhere = fs::path("/dev/shm") / directory_.path().filename();
  std::error_code error;
  fs::create_directories(elsewhere, error);
  struct stat here {
  }, there{};
  if (error || ::stat(elsewhere.c_str(), &there) != 0 || ::stat(directory_.path().c_str(), &here) != 0 ||
      here.st_dev == there.st_dev)
    GTEST_SKIP() << "no second file system";
  put("a", "content", 0755);
  const ObjectStore store(elsewhere / "objects");
  for (const char* name : {"one", "two"}) {
    ASSERT_TRUE(take_snapshot(plan().value(), directory_.path() / name, store));
    EXPECT_EQ(read_file(directory_.path() / name / "a"), "content");
    EXPECT_EQ(fs::status(directory_.path() / name / "a").permissions(), fs::perms(0500));
  }
  fs::remove_all(elsewhere);
}

// The cache is believed: that is how the test sees that a file was not read.
TEST_F(Snapshot, UnchangedFilesAreNotReadAgain) {
  put("a", "content");
  put("b", "content");
  SnapshotPlan planned = plan().value();
  planned.looked_at += 3600;  // as if the files had long been there
  ASSERT_TRUE(take_snapshot(planned, directory_.path() / "one", objects_));
  fs::path cache;
  for (const auto& entry : fs::directory_iterator(objects_.folder() / ".hashes")) cache = entry.path();
  std::string text = read_file(cache);
  const std::string digest = sha256("content"), other(64, 'e');
  for (std::size_t at; (at = text.find(digest)) != std::string::npos;) text.replace(at, 64, other);
  publish_file(cache, text);
  put("b", "CONTENT");
  const auto digests = [&] {
    const SnapshotPlan again = plan_snapshot(source_, 1'000'000, 1000, objects_).value();
    return std::pair(again.files[0].sha256, again.files[1].sha256);
  };
  EXPECT_EQ(digests(), std::pair(other, sha256("CONTENT")));
  for (const char* damaged : {"{torn", "[]", "{\"files\": {\"a\": 7}}"}) {
    publish_file(cache, damaged);
    EXPECT_EQ(digests(), std::pair(digest, sha256("CONTENT")));
  }
  // Of a file that was just written the next change may bear the same time.
  fs::remove_all(objects_.folder());
  ASSERT_TRUE(take_snapshot(plan().value(), directory_.path() / "two", objects_));
  EXPECT_FALSE(fs::exists(objects_.folder() / ".hashes"));
}

TEST_F(Snapshot, TenThousandFiles) {
  for (int i = 0; i < 10'000; ++i) put(std::to_string(i % 100) + "/" + std::to_string(i), std::to_string(i % 10));
  const SnapshotPlan planned = plan(1'000'000, 20'000).value();
  ASSERT_EQ(planned.files.size(), 10'000u);
  EXPECT_EQ(take_snapshot(planned, directory_.path() / "snap", objects_)->digest, planned.digest);
  EXPECT_EQ(inode(directory_.path() / "snap/0/0"), inode(directory_.path() / "snap/10/110"));
}

TEST_F(Snapshot, OfNothing) {
  EXPECT_TRUE(plan()->files.empty());
  EXPECT_EQ(plan_snapshot(source_ / "gone", 1, 1).error().what,
            "source_directory " + (source_ / "gone").string() + " is not a directory");
}

}  // namespace
}  // namespace lockstep
