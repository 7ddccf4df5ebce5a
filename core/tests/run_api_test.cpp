// A run as the program sees it that submitted or began it: labels, files, details, children, its end.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "lockstep/core/interactive_run.h"
#include "lockstep/core/run.h"
#include "lockstep/core/run_contract.h"
#include "lockstep/core/run_store.h"
#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Labels = std::map<std::string, std::string>;

class RunApi : public testing::Test {
 protected:
  RunApi() { ::unsetenv(contract::kRunDir); }

  RunDirectory submitted() {
    RunDirectory run = RunDirectory::create(workspace_, "exp").value();
    run.write_record({{"submitted", unix_time()},
                      {"target", "local"},
                      {"estimator", {{"entry_script", "train.py"}}},
                      {"notices", {"mpi was assumed"}}});
    run.record_supervisor();
    return run;
  }

  static void put(const fs::path& path, std::string_view text) {
    fs::create_directories(path.parent_path());
    write_contents(path, text);
  }

  static Error failure_of(const std::function<void()>& action) {
    try {
      action();
    } catch (const Failure& failure) {
      return failure.error();
    }
    ADD_FAILURE() << "no failure";
    return {};
  }

  TemporaryDirectory directory_;
  Workspace workspace_ = Workspace::create(directory_.path(), "w").value();
};

TEST_F(RunApi, TagsChangeAndPropertiesDoNot) {
  const RunDirectory directory = submitted();
  lockstep::Run run = lockstep::Run::open(directory);
  EXPECT_TRUE(run.get_tags().empty());
  run.set_tags({{"team", "vision"}, {"best", "no"}});
  run.tag("best", "yes");
  run.tag("seen");
  EXPECT_EQ(run.get_tags(), (Labels{{"best", "yes"}, {"seen", ""}, {"team", "vision"}}));
  run.remove_tags({"seen", "never there"});
  EXPECT_EQ(lockstep::Run::open(directory).get_tags(), (Labels{{"best", "yes"}, {"team", "vision"}}));

  run.add_properties({{"a", "1"}, {"b", "2"}});
  run.add_property("a", "1");
  EXPECT_EQ(failure_of([&] { run.add_properties({{"c", "3"}, {"b", "4"}}); }).kind, ErrorKind::usage);
  EXPECT_EQ(run.get_properties(), (Labels{{"a", "1"}, {"b", "2"}})) << "nothing of a refused change is kept";
}

// Without a claim around read, change and write most of these tags would be lost.
TEST_F(RunApi, NoTagIsLostWhenManyWrite) {
  const RunDirectory directory = submitted();
  const auto results = in_children(6, [&](int process) {
    lockstep::Run run = lockstep::Run::open(directory);
    for (int i = 0; i < 10; ++i) run.tag(std::to_string(process) + "_" + std::to_string(i));
    return 0;
  });
  EXPECT_EQ(results, std::vector<int>(6, 0));
  EXPECT_EQ(lockstep::Run::open(directory).get_tags().size(), 60u);
}

TEST_F(RunApi, FilesAreThoseOfOutputsAndLogs) {
  const RunDirectory directory = submitted();
  put(directory.path() / "outputs/model/weights.pt", "w");
  put(directory.path() / "outputs/b c\n.txt", "x");
  put(directory.path() / "logs/70_driver_log.txt", "hello");
  put(directory.path() / "logs/events.out.tfevents.1", "e");
  put(directory_.path() / "secret", "s");
  fs::create_symlink(directory_.path() / "secret", directory.path() / "outputs/leak");
  fs::create_symlink("model/weights.pt", directory.path() / "outputs/best");
  const lockstep::Run run = lockstep::Run::open(directory);
  EXPECT_EQ(run.get_file_names(),
            (std::vector<std::string>{"logs/70_driver_log.txt", "logs/events.out.tfevents.1", "outputs/b c\n.txt",
                                      "outputs/best", "outputs/model/weights.pt"}));

  const fs::path to = directory_.path() / "to";
  run.download_file("outputs/model/weights.pt", to / "deep/w.pt");
  EXPECT_EQ(contents(to / "deep/w.pt"), "w");
  run.download_file("outputs/model/../best", to / "deep");
  EXPECT_EQ(contents(to / "deep/best"), "w");
  const Error error = failure_of([&] { run.download_file("outputs/model/weight.pt", to); });
  EXPECT_EQ(error.kind, ErrorKind::usage);
  EXPECT_NE(error.what.find("outputs/model/weights.pt"), std::string::npos) << error.what;
  for (const char* name : {"outputs/leak", "../../../secret", "run.json", "", "/etc/passwd"})
    EXPECT_THROW(run.download_file(name, to), Failure) << name;

  run.download_files("outputs/model", to / "all");
  EXPECT_EQ(contents(to / "all/outputs/model/weights.pt"), "w");
  run.download_files("outputs/model", to / "bare", /*append_prefix=*/false);
  EXPECT_EQ(contents(to / "bare/weights.pt"), "w");
  EXPECT_EQ(run.get_all_logs(to / "logs"), std::vector<fs::path>{to / "logs/70_driver_log.txt"});
}

TEST_F(RunApi, UploadsGoIntoOutputs) {
  lockstep::Run run = lockstep::Run::open(submitted());
  put(directory_.path() / "src/a/b.txt", "b");
  run.upload_file("report/b.txt", directory_.path() / "src/a/b.txt");
  run.upload_file("outputs/tree", directory_.path() / "src");
  EXPECT_EQ(run.get_file_names(), (std::vector<std::string>{"outputs/report/b.txt", "outputs/tree/a/b.txt"}));
  EXPECT_THROW(run.upload_file("../x", directory_.path() / "src"), Failure);
  EXPECT_THROW(run.upload_file("/x", directory_.path() / "src"), Failure);
  EXPECT_THROW(run.upload_file("x", directory_.path() / "none"), Failure);
}

TEST_F(RunApi, DetailsHaveAzuresKeys) {
  const RunDirectory directory = submitted();
  const lockstep::Run run = lockstep::Run::open(directory);
  EXPECT_EQ(run.get_status(), RunStatus::NotStarted);
  directory.append_event({.status = RunStatus::Running, .attempt = 1});
  auto details = run.get_details();
  std::vector<std::string> keys;
  for (const auto& [key, value] : details.items()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"runId", "target", "status", "startTimeUtc", "endTimeUtc", "error",
                                            "warnings", "properties", "inputDatasets", "runDefinition", "logFiles"}));
  EXPECT_EQ(details["status"], "Running");
  EXPECT_TRUE(details["endTimeUtc"].is_null());
  EXPECT_TRUE(details["error"].is_null());
  EXPECT_EQ(details["warnings"][0], "mpi was assumed");
  EXPECT_EQ(details["runDefinition"]["entry_script"], "train.py");

  put(directory.path() / "logs/a b.txt", "x");
  directory.append_event(
      {.status = RunStatus::Failed, .attempt = 1, .cause = EndCause{"exit_code", 3, {}, 0, "", "code 3", "hint", {}}});
  details = run.get_details();
  EXPECT_EQ(details["error"]["message"], "code 3");
  EXPECT_EQ(details["endTimeUtc"].get<std::string>().size(), std::string("2026-03-01T14:05:09.250Z").size());
  EXPECT_EQ(details["logFiles"]["logs/a b.txt"], "file://" + directory.path().string() + "/logs/a%20b.txt");
  EXPECT_EQ(run.get_portal_url(), "file://" + directory.path().string());
  EXPECT_EQ(run.wait_for_completion().status, RunStatus::Failed);
  EXPECT_EQ(failure_of([&] { run.wait_for_completion(false, true); }).hint, "hint");
}

TEST_F(RunApi, WaitingShowsWhatIsPrintedMeanwhile) {
  const RunDirectory directory = submitted();
  directory.append_event({.status = RunStatus::Running, .attempt = 1});
  put(directory.path() / "logs/20_environment_log.txt", "built\n");
  put(directory.path() / "logs/70_driver_log.txt", "one\n");
  const pid_t writer = start_child([&] {
    ::usleep(300'000);
    std::ofstream(directory.path() / "logs/70_driver_log.txt", std::ios::app) << "two\n";
    directory.append_event({.status = RunStatus::Canceled, .cause = EndCause{.reason = "canceled"}});
    return 0;
  });
  testing::internal::CaptureStdout();
  const RunSummary end = lockstep::Run::open(directory).wait_for_completion(/*show_output=*/true);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "built\none\ntwo\n");
  EXPECT_EQ(end.status, RunStatus::Canceled);
  EXPECT_EQ(wait_for_child(writer), 0);
}

TEST_F(RunApi, CancelAsksForTheEnd) {
  const RunDirectory directory = submitted();
  lockstep::Run::open(directory).cancel();
  EXPECT_EQ(directory.summary().status, RunStatus::CancelRequested);
}

TEST_F(RunApi, ARunOfOnesOwnEndsWithItsHandle) {
  fs::path path;
  {
    lockstep::Run run = start_interactive_run(workspace_, "notes", "first try");
    path = run.directory();
    EXPECT_EQ(run.get_status(), RunStatus::Running);
    run.log("loss", 0.5);
    run.tag("x", "y");
    EXPECT_EQ(run.experiment(), "notes");
  }
  const RunDirectory directory = RunDirectory::open(path).value();
  const RunSummary summary = directory.summary();
  EXPECT_EQ(summary.status, RunStatus::Completed);
  EXPECT_EQ(summary.target, "interactive");
  EXPECT_EQ(directory.record().at("display_name"), "first try");
  EXPECT_EQ(lockstep::Run::open(directory).get_file_names().size(), 1u);
  EXPECT_EQ(lockstep::Run::open(directory).get_tags(), (Labels{{"x", "y"}}));
}

TEST_F(RunApi, ItsEndIsTheFirstThatWasSaid) {
  lockstep::Run run = start_interactive_run(workspace_, "notes");
  run.fail_with({ErrorKind::usage, "no such file", "data.csv", "look again"});
  run.complete();
  const RunSummary summary = RunDirectory::open(run.directory())->summary();
  EXPECT_EQ(summary.status, RunStatus::Failed);
  EXPECT_EQ(summary.cause->message, "data.csv: no such file");
  EXPECT_EQ(summary.cause->hint, "look again");
}

TEST_F(RunApi, AnExceptionFailsIt) {
  fs::path path;
  try {
    lockstep::Run run = start_interactive_run(workspace_, "notes");
    path = run.directory();
    throw std::runtime_error("boom");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(RunDirectory::open(path)->summary().status, RunStatus::Failed);
}

TEST_F(RunApi, ACancelIsKept) {
  lockstep::Run run = start_interactive_run(workspace_, "notes");
  run.cancel();
  EXPECT_EQ(run.get_status(), RunStatus::CancelRequested);
  run.complete();
  EXPECT_EQ(run.get_status(), RunStatus::Canceled);
}

TEST_F(RunApi, AKilledProcessLeavesAFailedRun) {
  in_child([&] {
    const lockstep::Run run = start_interactive_run(workspace_, "notes");
    ::raise(SIGKILL);
    return 0;
  });
  const lockstep::Run run = lockstep::Run::open(find_run(workspace_, "latest").value());
  EXPECT_EQ(run.get_status(), RunStatus::NotResponding);
  EXPECT_EQ(run.wait_for_completion().cause->reason, "lost");
}

TEST_F(RunApi, OnlyWhoBeganARunEndsIt) {
  lockstep::Run run = lockstep::Run::open(submitted());
  EXPECT_EQ(failure_of([&] { run.complete(); }).kind, ErrorKind::usage);
  EXPECT_EQ(failure_of([&] { run.fail_with({}); }).kind, ErrorKind::usage);
}

TEST_F(RunApi, ChildrenAreFoundFromAboveAndBelow) {
  const RunDirectory directory = submitted();
  lockstep::Run parent = lockstep::Run::open(directory);
  EXPECT_TRUE(parent.get_children().empty());
  EXPECT_FALSE(parent.parent());
  {
    lockstep::Run child = parent.child_run("fold 1");
    lockstep::Run grandchild = child.child_run();
    parent.child_run("fold 2").fail_with({ErrorKind::usage, "bad", "", ""});
    EXPECT_EQ(child.parent()->id(), directory.id());
    EXPECT_EQ(grandchild.parent()->id(), child.id());
  }
  EXPECT_EQ(parent.get_children().size(), 2u);
  const auto all = parent.get_children(/*recursive=*/true);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(RunDirectory::open(all[0].directory())->summary().parent, directory.id());
  fs::remove_all(all[0].directory());
  EXPECT_LT(parent.get_children(true).size(), 3u);
}

TEST_F(RunApi, OfflineRunsHaveNoOneToAsk) {
  lockstep::Run run = lockstep::Run::none();
  run.set_tags({{"a", "b"}});
  run.remove_tags({"a"});
  EXPECT_TRUE(run.get_tags().empty());
  EXPECT_EQ(run.get_details()["runId"], "offline");
  EXPECT_EQ(failure_of([&] { run.cancel(); }).kind, ErrorKind::usage);
  EXPECT_EQ(failure_of([&] { run.wait_for_completion(); }).kind, ErrorKind::usage);
  EXPECT_TRUE(run.child_run("x").offline());
}

}  // namespace
}  // namespace lockstep
