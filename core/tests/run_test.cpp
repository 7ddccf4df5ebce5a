#include "lockstep/core/run.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "lockstep/core/event_file.h"
#include "lockstep/core/machine.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// In a directory of its own, without any of the variables. (Run alone would name testing::Test::Run here.)
class RunTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {contract::kRunDir, contract::kRunId, contract::kExperiment, contract::kAttempt})
      ::unsetenv(name);
    fs::current_path(folder.path());
  }
  void TearDown() override {
    SetUp();
    fs::current_path(start);
  }

  // A run directory as the control program makes it, and the variables that it sets.
  lockstep::Run submitted(const char* attempt = "3") {
    for (const char* name : {contract::kOutputs, contract::kLogs, contract::kAttempts, contract::kControl, "work"}) {
      fs::create_directories(directory / name);
    }
    ::setenv(contract::kRunDir, directory.c_str(), 1);
    ::setenv(contract::kRunId, "cifar_1700000000_ab12cd34", 1);
    ::setenv(contract::kExperiment, "cifar", 1);
    ::setenv(contract::kAttempt, attempt, 1);
    return lockstep::Run::get_context();
  }

  fs::path start = fs::current_path();
  TemporaryDirectory folder;
  fs::path directory = folder / "runs/cifar/cifar_1700000000_ab12cd34";
};

TEST_F(RunTest, OfflineWritesBelowTheCurrentDirectory) {
  lockstep::Run run = lockstep::Run::get_context();
  EXPECT_TRUE(run.offline());
  EXPECT_EQ(run.id(), "offline");
  EXPECT_EQ(run.experiment(), "");
  EXPECT_EQ(run.attempt(), 1);
  EXPECT_EQ(run.directory(), folder.path());
  run.tag("stage", "early");
  run.add_property("seed", "7");
  run.add_property("seed", "7");
  EXPECT_THROW(run.add_property("seed", "8"), Failure);
  run.mark_started();
  run.report_error(1, Error{ErrorKind::internal, "x", {}, {}});
  EXPECT_TRUE(names_in(folder.path()).empty());  // nothing before it is needed

  run.log("loss", 0.5);
  EXPECT_EQ(read_scalars(folder / "logs").events.at(0).value, 0.5);
  EXPECT_EQ(run.outputs_directory(), folder / "outputs");
  EXPECT_TRUE(fs::is_directory(folder / "outputs"));
}

TEST_F(RunTest, NoRunIsAnErrorWhereOneIsRequired) {
  try {
    (void)lockstep::Run::get_context(/*allow_offline=*/false);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::usage);
    EXPECT_EQ(failure.error().what, "this process belongs to no run: LOCKSTEP_RUN_DIR is not set");
  }
}

TEST_F(RunTest, FindsTheRunThatItBelongsTo) {
  lockstep::Run run = submitted();
  EXPECT_FALSE(run.offline());
  EXPECT_EQ(run.id(), "cifar_1700000000_ab12cd34");
  EXPECT_EQ(run.experiment(), "cifar");
  EXPECT_EQ(run.attempt(), 3);
  EXPECT_EQ(run.directory(), directory);
  EXPECT_EQ(run.outputs_directory(), directory / "outputs");
  EXPECT_EQ(run.logs_directory(), directory / "logs");
}

TEST_F(RunTest, TheDirectoryAloneIsEnough) {
  fs::create_directories(directory);
  ::setenv(contract::kRunDir, directory.c_str(), 1);
  lockstep::Run run = lockstep::Run::get_context(false);
  EXPECT_EQ(run.id(), "cifar_1700000000_ab12cd34");
  EXPECT_EQ(run.experiment(), "cifar");
  EXPECT_EQ(run.attempt(), 1);
}

TEST_F(RunTest, WrongVariablesAreNamed) {
  for (const char* attempt : {"0", "-1", "two", "2x", "99999999999"}) {
    try {
      (void)submitted(attempt);
      FAIL() << attempt;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      EXPECT_EQ(failure.error().what,
                std::string("LOCKSTEP_ATTEMPT is '") + attempt + "', expected a whole number of at least 1");
    }
  }
  for (const std::string path : {"runs/cifar", "/absent/run"}) {
    ::setenv(contract::kRunDir, path.c_str(), 1);
    try {
      (void)lockstep::Run::get_context();
      FAIL() << path;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::environment);
      EXPECT_EQ(failure.error().what,
                "LOCKSTEP_RUN_DIR is " + path + ", which is no absolute path of a directory here");
      EXPECT_EQ(failure.error().where, host_name());
    }
  }
}

TEST_F(RunTest, MetricsGoIntoOneEventFile) {
  lockstep::Run run = submitted();
  EXPECT_TRUE(names_in(directory / "logs").empty());
  run.log("train/loss", 2.25, 2000);
  run.log("train/loss", 1.75, 4000);
  run.log("plain", 10);
  run.log("plain", 11);
  run.log("other", 5);
  run.log("plain", 12);
  const double list[] = {0.5, 0.25, 0.125};
  run.log_list("list", list);
  run.log_list("empty", {});
  run.log_text("config", "epochs = 2");
  lockstep::Run moved = std::move(run);
  moved.log("train/loss", 1.5, 6000);
  ASSERT_EQ(names_in(directory / "logs").size(), 1u);
  std::string seen;
  for (const auto& e : read_scalars(directory / "logs").events)
    seen += e.tag + " " + std::to_string(e.step) + " " + std::to_string(e.value) + "; ";
  EXPECT_EQ(
      seen,
      "train/loss 2000 2.250000; train/loss 4000 1.750000; train/loss 6000 1.500000; plain 0 10.000000; "
      "plain 1 11.000000; plain 2 12.000000; other 0 5.000000; list 0 0.500000; list 1 0.250000; list 2 0.125000; ");
}

TEST_F(RunTest, DirectoriesCanBeChosenBeforeTheirFirstUse) {
  lockstep::Run run = submitted();
  run.set_logs_directory("elsewhere/../my logs");
  run.set_outputs_directory(folder / "out");
  run.log("x", 1);
  EXPECT_EQ(read_scalars(folder / "my logs").events.size(), 1u);
  EXPECT_EQ(run.logs_directory(), folder / "my logs");
  EXPECT_EQ(run.outputs_directory(), folder / "out");
  EXPECT_TRUE(names_in(directory / "logs").empty());
  EXPECT_THROW(run.set_logs_directory("late"), Failure);
}

TEST_F(RunTest, LostMetricsAreAWarningNotAnError) {
  lockstep::Run run = submitted();
  write_contents(folder / "file", "");
  run.set_logs_directory(folder / "file");
  testing::internal::CaptureStderr();
  for (int i = 0; i < 1000; ++i) run.log("x", i);
  run.log_text("t", "text");
  const std::string shown = testing::internal::GetCapturedStderr();
  EXPECT_EQ(shown, "lockstep: metrics are lost (" + (folder / "file").string() +
                       " is a file, and a directory is wanted there); training goes on\n");
}

TEST_F(RunTest, AFullDiskIsAWarningNotAnError) {
  lockstep::Run run = submitted();
  run.log("x", 1, 1);
  EXPECT_EQ(
      0, in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{200, 200};
        ::setrlimit(RLIMIT_FSIZE, &limit);
        testing::internal::CaptureStderr();
        for (int i = 2; i < 100; ++i) run.log("x", i, i);
        const std::string shown = testing::internal::GetCapturedStderr();
        return shown.find("lockstep: metrics are lost (writing ") == 0 && shown.find('\n') == shown.size() - 1 ? 0 : 1;
      }));
  const auto log = read_scalars(directory / "logs");
  EXPECT_TRUE(log.warnings.empty());
  EXPECT_GE(log.events.size(), 1u);
}

TEST_F(RunTest, TagsChangeAndPropertiesDoNot) {
  lockstep::Run run = submitted();
  run.tag("stage", "early");
  run.tag("baseline");
  run.tag("stage", "late \xff");
  EXPECT_EQ(json::parse(contents(directory / "tags.json")), (json{{"stage", "late \xEF\xBF\xBD"}, {"baseline", ""}}));

  run.add_property("seed", "7");
  run.add_property("git", "abc");
  run.add_property("seed", "7");
  try {
    run.add_property("seed", "8");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::usage);
    EXPECT_EQ(failure.error().what, "the property seed is '7' already and cannot become '8'");
  }
  EXPECT_EQ(json::parse(contents(directory / "properties.json")), (json{{"seed", "7"}, {"git", "abc"}}));

  write_contents(directory / "tags.json", "[torn");
  EXPECT_THROW(run.tag("a", "b"), Failure);
  EXPECT_EQ(contents(directory / "tags.json"), "[torn");
}

TEST_F(RunTest, OnlyTheWriterWrites) {
  lockstep::Run run = submitted();
  run.set_writer(false);
  run.log("loss", 1);
  run.log_text("note", "x");
  run.tag("stage", "early");
  run.add_property("seed", "7");
  EXPECT_TRUE(names_in(directory / "logs").empty());
  EXPECT_FALSE(fs::exists(directory / "tags.json") || fs::exists(directory / "properties.json"));
  run.set_writer(true);
  run.log("loss", 2);
  EXPECT_EQ(read_scalars(directory / "logs").events.at(0).step, 1);  // steps count on while it was quiet
}

TEST_F(RunTest, TellsTheSupervisorThatWorkBegan) {
  lockstep::Run run = submitted("12");
  run.mark_started();
  run.mark_started();
  EXPECT_TRUE(fs::exists(directory / "attempts/012/started"));
}

TEST_F(RunTest, ShowsTheLatestProgressAlone) {
  lockstep::Run run = submitted("2");
  run.show_progress("1 of 2");  // no attempts/002 yet: nobody depends on it
  fs::create_directories(directory / "attempts/002");
  run.show_progress("1 of 2");
  run.show_progress("2 of 2");
  EXPECT_EQ(contents(directory / "attempts/002/progress"), "2 of 2\n");
  EXPECT_EQ(std::distance(fs::directory_iterator(directory / "attempts/002"), {}), 1);
}

TEST_F(RunTest, TellsTheSupervisorWhoFailedAndWhy) {
  lockstep::Run run = submitted("1");
  run.report_error(5, Error{ErrorKind::peer_lost, "rank 2 is gone \xc3", "gpu03", "look at its log"});
  run.report_error(5, Error{ErrorKind::internal, "a consequence", {}, {}});
  run.report_error(0, Error{ErrorKind::usage, "w", {}, {}});
  EXPECT_EQ(json::parse(contents(directory / "attempts/001/error_5.json")),
            (json{{"rank", 5},
                  {"host", host_name()},
                  {"kind", "peer_lost"},
                  {"what", "rank 2 is gone \xEF\xBF\xBD"},
                  {"where", "gpu03"},
                  {"hint", "look at its log"}}));
  EXPECT_EQ(names_in(directory / "attempts/001").size(), 2u);
}

TEST_F(RunTest, ReportingAnErrorNeverThrows) {
  lockstep::Run run = submitted();
  fs::remove_all(directory);
  write_contents(folder / "runs", "");
  fs::remove_all(folder / "runs");
  write_contents(folder / "runs", "a file where directories were");
  run.report_error(0, Error{ErrorKind::internal, "x", {}, {}});
  EXPECT_EQ(contents(folder / "runs"), "a file where directories were");
}

}  // namespace
}  // namespace lockstep
