#include "lockstep/core/snapshot_restore.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "lockstep/core/publish.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class Restore : public testing::Test {
 protected:
  Restore() {
    put("train.py", "print(1)\n");
    put("bin/tool", "#!/bin/sh\n", 0755);
    put("two\nlines \xff", "odd name");
    fs::create_symlink("train.py", source_ / "link");
  }

  void put(const std::string& path, const std::string& text, int mode = 0644) {
    fs::create_directories((source_ / path).parent_path());
    std::ofstream(source_ / path, std::ios::binary) << text;
    ::chmod((source_ / path).c_str(), static_cast<mode_t>(mode));
  }

  void take(bool with_list = true) {
    const SnapshotPlan planned = plan_snapshot(source_, 1'000'000, 100).value();
    run_.write_record({{"snapshot", {{"digest", planned.digest}}}});
    const SnapshotPlan taken =
        take_snapshot(planned, run_.path() / "snapshot", ObjectStore(workspace_.root() / "objects")).value();
    if (with_list) record_snapshot(taken, run_);
    digest_ = taken.digest;
  }

  Error refused() {
    try {
      restore_snapshot(run_, to_);
    } catch (const Failure& failure) {
      return failure.error();
    }
    ADD_FAILURE() << "it was restored";
    return {};
  }

  TemporaryDirectory directory_;
  fs::path source_ = directory_.path() / "src", to_ = directory_.path() / "again";
  Workspace workspace_ = Workspace::create(directory_.path(), "w").value();
  RunDirectory run_ = RunDirectory::create(workspace_, "exp").value();
  std::string digest_;
};

TEST_F(Restore, GivesTheSameTreeToWorkIn) {
  for (const bool with_list : {true, false}) {
    SCOPED_TRACE(with_list);
    if (!fs::exists(run_.path() / "run.json")) take(with_list);
    if (!with_list) fs::remove(run_.path() / "snapshot.json");
    EXPECT_EQ(restore_snapshot(run_, to_), 4u);
    EXPECT_EQ(plan_snapshot(to_, 1'000'000, 100)->digest, digest_);
    std::ofstream(to_ / "train.py") << "changed";  // the copy only
    EXPECT_EQ(read_file(run_.path() / "snapshot/train.py"), "print(1)\n");
    fs::remove_all(to_);
  }
}

TEST_F(Restore, NothingIsOverwritten) {
  take();
  fs::create_directory(to_);
  EXPECT_EQ(restore_snapshot(run_, to_), 4u);  // empty will do
  EXPECT_EQ(refused().message(),
            to_.string() + ": is not empty\n  name an empty directory, or one that is not there yet");
  EXPECT_EQ(read_file(to_ / "train.py"), "print(1)\n");
}

TEST_F(Restore, AFileThatIsNotAsItWasIsNamedAndNothingIsLeft) {
  take();
  const fs::path file = run_.path() / "snapshot/train.py";
  ::chmod(file.c_str(), 0600);
  std::ofstream(file) << "print(2)\n";
  const Error error = refused();
  EXPECT_EQ(error.kind, ErrorKind::corrupt_data);
  EXPECT_EQ(error.where, file);
  EXPECT_EQ(error.what.rfind("is not as it was submitted: its SHA-256 is ", 0), 0u);
  EXPECT_FALSE(fs::exists(to_));
  fs::remove(run_.path() / "snapshot.json");
  EXPECT_EQ(refused().what, "the snapshot is not what was submitted");
}

TEST_F(Restore, AListThatLeadsElsewhereIsRefused) {
  take();
  publish_file(run_.path() / "snapshot.json", R"({"files": [{"path": "../../escape", "sha256": "x"}]})");
  EXPECT_EQ(refused().what, "names a file outside the snapshot");
  publish_file(run_.path() / "snapshot.json", "{torn");
  EXPECT_EQ(refused().kind, ErrorKind::corrupt_data);
}

}  // namespace
}  // namespace lockstep
