// How a training program ends when a rank fails: in time, whatever the disk does, and with the cause on record.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct Ended {
  double seconds = 0;
  int code = 0;
  std::string error;
  bool reported_by_0 = false, reported_by_1 = false;
};

Ended run_drill(const std::string& what, bool slow_disk) {
  std::string folder = fs::temp_directory_path() / "lockstep_run_main_XXXXXX";
  EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  ::setenv("LOCKSTEP_RUN_DIR", folder.c_str(), 1);
  if (slow_disk) ::setenv("LOCKSTEP_DRILL_SLOW_DISK", "1", 1);
  const auto begin = std::chrono::steady_clock::now();
  const auto run =
      capture({.argv = {LOCKSTEP_MPIEXEC, "--oversubscribe", "--bind-to", "none", "-np", "2", LOCKSTEP_DRILL, what},
               .new_session = true},
              /*timeout_seconds=*/50);
  ::unsetenv("LOCKSTEP_RUN_DIR");
  ::unsetenv("LOCKSTEP_DRILL_SLOW_DISK");
  EXPECT_TRUE(run) << run.error().message();
  Ended ended;
  ended.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (run) {
    EXPECT_EQ(run->status.signal, 0) << "it had to be killed";
    ended.code = run->status.code;
    ended.error = run->error;
  }
  const fs::path attempt = fs::path(folder) / "attempts" / "001";
  ended.reported_by_0 = fs::exists(attempt / "error_0.json");
  ended.reported_by_1 = fs::exists(attempt / "error_1.json");
  fs::remove_all(folder);
  return ended;
}

TEST(RunMain, LeavesTheCauseOnRecord) {
  const Ended ended = run_drill("fails", false);
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(ended.reported_by_1);
  EXPECT_FALSE(ended.reported_by_0);
  EXPECT_NE(ended.error.find("drill: rank 1 on "), std::string::npos) << ended.error;
}

TEST(RunMain, ADiskThatHangsDoesNotKeepTheJobAlive) {
  const Ended ended = run_drill("fails", true);
  EXPECT_EQ(ended.code, 1);
  EXPECT_LT(ended.seconds, 40) << "the disk hangs for a minute";
  EXPECT_NE(ended.error.find("the disk is full"), std::string::npos) << ended.error;
}

TEST(RunMain, TheCauseIsOnRecordBeforeARankThatLostAPeerEndsTheJob) {
  const Ended ended = run_drill("lost", false);
  EXPECT_EQ(ended.code, 1);
  EXPECT_TRUE(ended.reported_by_1);
  EXPECT_NE(ended.error.find("the disk is full"), std::string::npos) << ended.error;
}

}  // namespace
}  // namespace lockstep
