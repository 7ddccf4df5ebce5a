#include "lockstep/core/run_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class RunStore : public testing::Test {
 protected:
  RunDirectory new_run(const std::string& experiment = "cifar", double submitted = unix_time()) {
    RunDirectory run = RunDirectory::create(workspace_, experiment).value();
    run.write_record({{"submitted", submitted},
                      {"target", "local"},
                      {"command", "train --epochs 2"},
                      {"estimator", {{"node_count", 3}, {"process_count_per_node", 5}}}});
    return run;
  }

  // A run directory under a chosen id.
  RunDirectory new_run_named(const std::string& experiment, const std::string& id, double submitted) {
    const RunDirectory run = new_run(experiment, submitted);
    const fs::path to = run.path().parent_path() / id;
    fs::rename(run.path(), to);
    return RunDirectory::open(to).value();
  }

  static void append_text(const RunDirectory& run, const std::string& text) {
    std::ofstream(run.path() / "events.jsonl", std::ios::app | std::ios::binary) << text;
  }

  TemporaryDirectory directory_;
  Workspace workspace_ = Workspace::create(directory_.path(), "w").value();
};

Error failure_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.error();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST_F(RunStore, CreatesAPrivateDirectoryWithItsFolders) {
  const RunDirectory run = RunDirectory::create(workspace_, "my_exp.2").value();
  EXPECT_EQ(run.experiment(), "my_exp.2");
  EXPECT_EQ(run.path(), workspace_.runs() / "my_exp.2" / run.id());
  // my_exp.2_<10 digits>_<8 hexadecimal digits>
  ASSERT_EQ(run.id().size(), 9 + 10 + 1 + 8u) << run.id();
  EXPECT_EQ(run.id().substr(0, 9), "my_exp.2_");
  EXPECT_EQ(run.id().find_first_not_of("0123456789", 9), 19u) << run.id();
  EXPECT_EQ(run.id()[19], '_');
  EXPECT_EQ(run.id().find_first_not_of("0123456789abcdef", 20), std::string::npos) << run.id();
  for (const char* folder : {"", "outputs", "logs", "attempts", "control"}) {
    struct stat status {};
    ASSERT_EQ(::stat((run.path() / folder).c_str(), &status), 0) << folder;
    EXPECT_EQ(status.st_mode & 07777, 0700u) << folder;
  }
  EXPECT_EQ(run.attempt_directory(7), run.path() / "attempts/007");
}

TEST_F(RunStore, RefusesABadExperimentName) {
  for (const std::string name : {"", "../up", "a/b", ".hidden", "with space", "-dash"}) {
    const auto run = RunDirectory::create(workspace_, name);
    ASSERT_FALSE(run) << name;
    EXPECT_EQ(run.error().kind, ErrorKind::usage);
    EXPECT_EQ(run.error().what, "\"" + name + "\" cannot name an experiment");
  }
}

TEST_F(RunStore, EightProcessesCreateDistinctRuns) {
  constexpr int kProcesses = 8, kEach = 40;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int i = 0; i < kEach; ++i)
        if (!RunDirectory::create(workspace_, "crowd")) ::_exit(1);
      ::_exit(0);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) EXPECT_EQ(wait_process(child).code, 0);
  std::set<fs::path> found(fs::directory_iterator(workspace_.runs() / "crowd"), {});
  EXPECT_EQ(found.size(), static_cast<std::size_t>(kProcesses * kEach));
}

TEST_F(RunStore, TheRecordIsWrittenOnce) {
  const RunDirectory run = new_run();
  EXPECT_EQ(run.record().at("command"), "train --epochs 2");
  const Error error = failure_of([&] { run.write_record({{"command", "other"}}); });
  EXPECT_EQ(error.kind, ErrorKind::usage);
  EXPECT_EQ(run.record().at("command"), "train --epochs 2");
}

TEST_F(RunStore, AnyBytesGoIntoARecord) {
  const RunDirectory run = RunDirectory::create(workspace_, "odd").value();
  run.write_record({{"command", "caf\xe9"}});
  EXPECT_EQ(run.record().at("command"), "caf\xEF\xBF\xBD");  // Latin-1 é is no UTF-8: replaced
}

TEST_F(RunStore, OpenNeedsARecord) {
  const auto run = RunDirectory::open(directory_.path());
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().kind, ErrorKind::usage);
  EXPECT_EQ(run.error().what, directory_.path().string() + " is not a run directory: it has no run.json");
}

// In a workspace that several users share, what one cannot read is still a run.
TEST_F(RunStore, ARunOfAnotherUserIsNotCalledBroken) {
  const RunDirectory run = new_run();
  const uid_t self = ::geteuid();
  fs::permissions(run.path(), fs::perms::none);
  for (fs::path path = run.path().parent_path(); self == 0 && path != "/"; path = path.parent_path())
    if (path.string().starts_with(directory_.path().string())) ::chmod(path.c_str(), 0711);
  const int given_up = self == 0 ? ::seteuid(65534) : 0;  // root may read everything
  const auto opened = RunDirectory::open(run.path());
  const int taken_back = self == 0 ? ::seteuid(self) : 0;
  ASSERT_EQ(std::pair(given_up, taken_back), std::pair(0, 0));
  fs::permissions(run.path(), fs::perms::owner_all);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind, ErrorKind::environment);
  EXPECT_EQ(opened.error().what, "cannot look into the run directory " + run.path().string() + ": Permission denied");
}

TEST_F(RunStore, ARemovedRunIsKnownAsSuch) {
  const RunDirectory run = new_run();
  EXPECT_FALSE(run.is_removed());
  fs::remove_all(run.path());
  EXPECT_TRUE(run.is_removed());
}

TEST_F(RunStore, EventsComeBackAsWritten) {
  const RunDirectory run = new_run();
  EndCause cause{"signal", {}, 9, 1, "node07", "rank 1 was killed", "look at the memory", {"last", "lines\n"}};
  run.append_event({.status = RunStatus::Starting, .attempt = 1, .detail = "two ranks"});
  run.append_event({.status = RunStatus::Running, .attempt = 1});
  run.append_event({.status = RunStatus::Failed, .attempt = 1, .cause = cause});
  const auto events = run.events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].detail, "two ranks");
  EXPECT_EQ(events[1].sequence, 1);
  EXPECT_LE(events[0].time, events[2].time);
  ASSERT_TRUE(events[2].cause);
  EXPECT_EQ(to_json(*events[2].cause), to_json(cause));
  EXPECT_FALSE(events[2].cause->exit_code);
  EXPECT_EQ(events[2].cause->last_lines[1], "lines\n");
}

TEST_F(RunStore, ForbiddenMovesAreRefusedAndLeaveNoTrace) {
  const RunDirectory run = new_run();
  EXPECT_EQ(failure_of([&] { run.append_event({.status = RunStatus::Completed}); }).what,
            "a run that is NotStarted cannot become Completed");
  run.append_event({.status = RunStatus::Running, .attempt = 1});
  EXPECT_EQ(failure_of([&] { run.append_event({.status = RunStatus::NotStarted}); }).kind, ErrorKind::internal);
  EXPECT_EQ(run.events().size(), 1u);
}

TEST_F(RunStore, ThereIsOneTerminalEvent) {
  for (const RunStatus end : {RunStatus::Completed, RunStatus::Failed, RunStatus::Canceled}) {
    const RunDirectory run = new_run();
    run.append_event({.status = RunStatus::Running, .attempt = 1});
    run.append_event({.status = end, .attempt = 1});
    for (const RunStatus next :
         {RunStatus::Completed, RunStatus::Failed, RunStatus::Canceled, RunStatus::Running, RunStatus::NotResponding})
      EXPECT_THROW(run.append_event({.status = next, .attempt = 2}), Failure) << status_name(end) << status_name(next);
    EXPECT_EQ(run.events().size(), 2u);
  }
}

TEST_F(RunStore, ATornLastLineIsSkippedAndThenReplaced) {
  const RunDirectory run = new_run();
  run.append_event({.status = RunStatus::Queued, .detail = "whole"});
  append_text(run, R"({"sequence":1,"time":17000)");
  ASSERT_EQ(run.events().size(), 1u);
  run.append_event({.status = RunStatus::Running, .attempt = 1, .detail = "after the crash"});
  const auto events = run.events();
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].detail, "after the crash");
  EXPECT_EQ(events[1].sequence, 1);
}

TEST_F(RunStore, DamageInTheMiddleIsNamed) {
  const RunDirectory run = new_run();
  run.append_event({.status = RunStatus::Queued});
  append_text(run, "{\"sequence\":1,\"ti\n");
  const Error error = failure_of([&] { (void)run.events(); });
  EXPECT_EQ(error.kind, ErrorKind::corrupt_data);
  EXPECT_EQ(error.where, (run.path() / "events.jsonl").string() + ":2");
  EXPECT_THROW(run.append_event({.status = RunStatus::Running}), Failure);
}

TEST_F(RunStore, AnEventOutOfSequenceOrOfUnknownStatusIsDamage) {
  const RunDirectory skipped = new_run();
  append_text(skipped, "{\"sequence\":1,\"time\":1.5,\"status\":\"Queued\",\"attempt\":0}\n");
  EXPECT_EQ(failure_of([&] { (void)skipped.events(); }).what, "event 1 where 0 was expected");
  const RunDirectory unknown = new_run();
  append_text(unknown, "{\"sequence\":0,\"time\":1.5,\"status\":\"Lost\",\"attempt\":0}\n");
  EXPECT_EQ(failure_of([&] { (void)unknown.events(); }).what, "\"Lost\" is not a run status");
}

TEST_F(RunStore, SummaryTellsTheStory) {
  const RunDirectory run = new_run("cifar", 1700000000.5);
  run.append_event({.status = RunStatus::Starting, .attempt = 1});
  run.append_event({.status = RunStatus::Running, .attempt = 1});
  run.append_event(
      {.status = RunStatus::Queued, .attempt = 1, .cause = EndCause{"signal", {}, 9, 1, "", "lost", "", {}}});
  run.append_event({.status = RunStatus::Running, .attempt = 2});
  run.append_event(
      {.status = RunStatus::Completed, .attempt = 2, .cause = EndCause{"completed", 0, {}, {}, "", "done", "", {}}});
  const auto events = run.events();
  const RunSummary summary = run.summary();
  EXPECT_EQ(summary.status, RunStatus::Completed);
  EXPECT_EQ(summary.attempts, 2);
  EXPECT_EQ(summary.submitted, 1700000000.5);
  EXPECT_EQ(summary.started, events[1].time);
  EXPECT_EQ(summary.ended, events[4].time);
  EXPECT_EQ(summary.cause->reason, "completed");
  EXPECT_EQ(summary.node_count, 3);
  EXPECT_EQ(summary.process_count_per_node, 5);
  EXPECT_EQ(summary.command, "train --epochs 2");
}

TEST_F(RunStore, ASupervisorThatLivesIsBelieved) {
  const RunDirectory run = new_run();
  EXPECT_EQ(run.summary().status, RunStatus::NotStarted);
  run.record_supervisor();  // this process
  run.append_event({.status = RunStatus::Running, .attempt = 1});
  EXPECT_EQ(run.summary().status, RunStatus::Running);
  run.request_cancel("tester");
  EXPECT_EQ(run.summary().status, RunStatus::CancelRequested);
}

TEST_F(RunStore, ASupervisorThatIsGoneIsNoticed) {
  const RunDirectory run = new_run();
  run.append_event({.status = RunStatus::Running, .attempt = 1});
  const pid_t child = ::fork();
  if (child == 0) {
    run.record_supervisor();
    ::_exit(0);
  }
  wait_process(child);
  const RunSummary summary = run.summary();
  EXPECT_EQ(summary.status, RunStatus::NotResponding);
  EXPECT_EQ(summary.detail, "its supervisor (process " + std::to_string(child) + " on " + host_name() + ") is gone");
}

TEST_F(RunStore, APidThatCameAgainIsNotTheSupervisor) {
  const RunDirectory run = new_run();
  const Json record{
      {"pid", ::getpid()}, {"host", host_name()}, {"start_time", process_start_time(::getpid()).value() + 1}};
  publish_file(run.path() / "supervisor.json", record.dump());
  EXPECT_EQ(run.summary().status, RunStatus::NotResponding);
}

TEST_F(RunStore, ElsewhereTheHeartbeatDecides) {
  const RunDirectory run = new_run();
  publish_file(run.path() / "supervisor.json", R"({"pid":1,"host":"another-host","start_time":5})");
  EXPECT_EQ(run.summary().status, RunStatus::NotResponding);
  const fs::path heartbeat = run.path() / "control/supervisor_heartbeat";
  std::ofstream(heartbeat) << "1";
  EXPECT_EQ(run.summary().status, RunStatus::NotStarted);
  fs::last_write_time(heartbeat, fs::file_time_type::clock::now() - std::chrono::seconds(31));
  EXPECT_EQ(run.summary().status, RunStatus::NotResponding);
}

TEST_F(RunStore, ARunThatNobodyTookUpIsNotResponding) {
  EXPECT_EQ(new_run("cifar", unix_time() - 31).summary().detail, "no supervisor took it up");
}

TEST_F(RunStore, CancelIsIdempotentAndKeepsTheFirstRequest) {
  const RunDirectory run = new_run();
  EXPECT_FALSE(run.cancel_requested());
  run.request_cancel("first");
  run.request_cancel("second");
  EXPECT_TRUE(run.cancel_requested());
  EXPECT_EQ(Json::parse(read_file(run.path() / "control/cancel")).at("who"), "first");
}

TEST_F(RunStore, ListsNewestFirstAndWarnsOfTheRest) {
  const auto old = new_run("a", 100), newest = new_run("b", 300), middle = new_run("a", 200);
  const auto unfinished = RunDirectory::create(workspace_, "a").value();
  const auto damaged = new_run("b", 400);
  std::ofstream(damaged.path() / "run.json") << "{";
  std::vector<std::string> warnings;
  const auto runs = list_runs(workspace_, {}, &warnings);
  ASSERT_EQ(runs.size(), 3u);
  EXPECT_EQ(runs[0].id, newest.id());
  EXPECT_EQ(runs[1].id, middle.id());
  EXPECT_EQ(runs[2].id, old.id());
  ASSERT_EQ(warnings.size(), 2u);
  const std::string both = warnings[0] + warnings[1];
  EXPECT_NE(both.find(unfinished.path().string() + " is not a run directory"), std::string::npos) << both;
  EXPECT_NE(both.find((damaged.path() / "run.json").string() + ": not a JSON object"), std::string::npos) << both;
  EXPECT_EQ(list_runs(workspace_, "a").size(), 2u);
  EXPECT_TRUE(list_runs(workspace_, "nothing").empty());
}

TEST_F(RunStore, FindsByIdByPartAndLatest) {
  const auto one = new_run_named("cifar", "cifar_1700000001_aaaa1111", 1700000001.2);
  const auto two = new_run_named("cifar", "cifar_1700000002_bbbb1111", 1700000002.7);
  const auto three = new_run_named("mnist_2", "mnist_2_1700000002_cccc2222", 1700000002.9);
  const auto found = [&](const char* reference) { return find_run(workspace_, reference).value().id(); };
  EXPECT_EQ(found("cifar_1700000001_aaaa1111"), one.id());
  EXPECT_EQ(found("bbbb"), two.id());
  EXPECT_EQ(found("mnist"), three.id());
  EXPECT_EQ(found("latest"), three.id());  // the same second as `two`: the record is more precise
}

TEST_F(RunStore, AnAmbiguousReferenceNamesTheCandidates) {
  new_run_named("cifar", "cifar_1700000001_aaaa1111", 1700000001);
  new_run_named("cifar", "cifar_1700000002_bbbb1111", 1700000002);
  const auto result = find_run(workspace_, "1111");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::usage);
  EXPECT_EQ(result.error().what, "\"1111\" is part of 2 run ids: cifar_1700000002_bbbb1111, cifar_1700000001_aaaa1111");
}

TEST_F(RunStore, AnUnknownReferenceNamesTheNearest) {
  EXPECT_EQ(find_run(workspace_, "latest").error().what, "there are no runs in " + workspace_.runs().string());
  new_run_named("cifar", "cifar_1700000001_aaaa1111", 1700000001);
  const auto result = find_run(workspace_, "cifar_1700000001_aaab1111");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().hint, "did you mean cifar_1700000001_aaaa1111");
  EXPECT_FALSE(find_run(workspace_, ""));
}

TEST_F(RunStore, AThousandRunsAreListedCompletely) {
  for (int i = 0; i < 1000; ++i) {
    const RunDirectory run = new_run(i % 2 ? "odd" : "even", 1000 + i);
    std::ofstream(run.path() / "events.jsonl")
        << R"({"sequence":0,"time":1.5,"status":"Starting","attempt":1})"
           "\n"
        << R"({"sequence":1,"time":2.5,"status":"Running","attempt":1})"
           "\n"
        << R"({"sequence":2,"time":3.5,"status":"Completed","attempt":1,"cause":{"reason":"completed","exit_code":0}})"
           "\n";
  }
  const auto begin = std::chrono::steady_clock::now();
  const auto runs = list_runs(workspace_);
  RecordProperty("seconds",
                 std::to_string(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()));
  std::printf("1,000 runs listed in %.0f ms\n",
              1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  ASSERT_EQ(runs.size(), 1000u);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(runs[static_cast<std::size_t>(i)].submitted, 1999 - i);
}

TEST(RunStatuses, NamesGoBothWays) {
  for (int i = 0; i <= static_cast<int>(RunStatus::NotResponding); ++i) {
    const auto status = static_cast<RunStatus>(i);
    EXPECT_EQ(parse_status(status_name(status)), status);
  }
  EXPECT_EQ(status_name(RunStatus::CancelRequested), "CancelRequested");
  EXPECT_EQ(status_name(RunStatus::Canceled), "Canceled");
  EXPECT_FALSE(parse_status("completed"));
}

TEST(RunStatuses, AllowedMoves) {
  using S = RunStatus;
  const std::vector<std::pair<S, S>> allowed{{S::NotStarted, S::Starting},        {S::Starting, S::Queued},
                                             {S::Queued, S::Preparing},           {S::Queued, S::Queued},
                                             {S::Starting, S::Finalizing},        {S::Running, S::Finalizing},
                                             {S::Finalizing, S::Completed},       {S::Finalizing, S::Queued},
                                             {S::Running, S::Starting},           {S::Running, S::CancelRequested},
                                             {S::CancelRequested, S::Finalizing}, {S::Running, S::Paused},
                                             {S::CancelRequested, S::Canceled},   {S::CancelRequested, S::Completed},
                                             {S::NotStarted, S::Failed},          {S::Paused, S::Running},
                                             {S::NotResponding, S::Running},      {S::Running, S::NotResponding}};
  const std::vector<std::pair<S, S>> forbidden{
      {S::NotStarted, S::Completed},   {S::Queued, S::Completed},       {S::Running, S::NotStarted},
      {S::NotStarted, S::Finalizing},  {S::Finalizing, S::Running},     {S::CancelRequested, S::Running},
      {S::CancelRequested, S::Queued}, {S::CancelRequested, S::Paused}, {S::Completed, S::Failed},
      {S::Failed, S::Failed},          {S::Canceled, S::NotResponding}};
  for (const auto& [from, to] : allowed)
    EXPECT_TRUE(may_follow(from, to)) << status_name(from) << " -> " << status_name(to);
  for (const auto& [from, to] : forbidden)
    EXPECT_FALSE(may_follow(from, to)) << status_name(from) << " -> " << status_name(to);
}

}  // namespace
}  // namespace lockstep
