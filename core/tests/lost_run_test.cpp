#include "lockstep/core/lost_run.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>

#include "lockstep/core/machine.h"
#include "lockstep/core/process.h"
#include "lockstep/core/publish.h"
#include "lockstep/core/staged_run.h"
#include "lockstep/core/tests/child_process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json process_record(pid_t pid) {
  return {{"pid", pid}, {"host", host_name()}, {"start_time", process_start_time(pid).value_or(0)}};
}

class LostRun : public testing::Test {
 protected:
  RunDirectory new_run(const Json& submitter) {
    RunDirectory run = RunDirectory::create(workspace_, "exp").value();
    run.write_record({{"submitted", unix_time()}, {"submitter", submitter}});
    return run;
  }

  // By a process that then was killed.
  RunDirectory run_of_dead_supervisor() {
    RunDirectory run = new_run(process_record(::getpid()));
    in_child([&] {
      run.record_supervisor();
      run.append_event({.status = RunStatus::Running, .attempt = 2});
      return 0;
    });
    return run;
  }

  static void let_pass(const RunDirectory& run, int seconds) {
    for (const char* name : {"run.json", "supervisor.json", "events.jsonl"})
      if (fs::exists(run.path() / name))
        fs::last_write_time(run.path() / name, fs::file_time_type::clock::now() - std::chrono::seconds(seconds));
  }

  TemporaryDirectory directory_;
  Workspace workspace_ = Workspace::create(directory_.path(), "w").value();
};

TEST_F(LostRun, IsNotRespondingFirstAndThenFailed) {
  const RunDirectory run = run_of_dead_supervisor();
  RunSummary summary = run.summary();
  EXPECT_EQ(summary.status, RunStatus::NotResponding);
  EXPECT_FALSE(is_settled(run, summary));
  EXPECT_FALSE(end_lost_run(run)) << "its heir has a few seconds";

  let_pass(run, 6);
  summary = run.summary();
  EXPECT_EQ(summary.status, RunStatus::Failed);
  EXPECT_EQ(summary.cause->reason, "lost");
  EXPECT_GT(summary.ended, 0);
  EXPECT_TRUE(summary.derived_end);
  EXPECT_EQ(run.events().size(), 1u) << "a reader wrote";

  EXPECT_TRUE(end_lost_run(run));
  EXPECT_FALSE(end_lost_run(run));
  ASSERT_EQ(run.events().size(), 2u);
  EXPECT_EQ(run.events().back().attempt, 2);
  EXPECT_EQ(run.events().back().cause->reason, "lost");
  EXPECT_FALSE(run.summary().derived_end);
}

TEST_F(LostRun, AHeirWritesAtOnceAndNotAfterAnEnd) {
  const RunDirectory run = run_of_dead_supervisor();
  EXPECT_TRUE(end_as_heir(run, "it was killed"));
  EXPECT_EQ(run.summary().cause->message, "it was killed");
  EXPECT_FALSE(end_as_heir(run, "again"));
  EXPECT_EQ(run.events().size(), 2u);
}

TEST_F(LostRun, OnlyOneOfManyWritesTheEnd) {
  const RunDirectory run = run_of_dead_supervisor();
  let_pass(run, 6);
  const auto results = in_children(
      6, [&](int i) { return (i % 2 ? end_lost_run(run) : end_as_heir(run, "its supervisor was killed")) ? 1 : 0; });
  EXPECT_EQ(std::count(results.begin(), results.end(), 1), 1);
  EXPECT_EQ(run.events().size(), 2u);
}

TEST_F(LostRun, OfASubmitThatWasKilledBeforeASupervisorCame) {
  const pid_t dead = start_child([] { return 0; });
  wait_for_child(dead);
  Json submitter = process_record(dead);
  submitter["start_time"] = 1;
  const RunDirectory run = new_run(submitter);
  EXPECT_EQ(run.summary().status, RunStatus::NotResponding);
  let_pass(run, 11);
  const RunSummary summary = run.summary();
  EXPECT_EQ(summary.status, RunStatus::Failed);
  EXPECT_NE(summary.cause->message.find("`lockstep submit` (process " + std::to_string(dead)), std::string::npos);
  // A supervisor that came in the last moment is believed.
  run.record_supervisor();
  EXPECT_EQ(run.summary().status, RunStatus::NotStarted);
  EXPECT_FALSE(end_lost_run(run));
}

TEST_F(LostRun, ASubmitThatLivesIsWaitedFor) {
  const RunDirectory run = new_run(process_record(::getpid()));
  EXPECT_EQ(run.summary().status, RunStatus::NotStarted);
  let_pass(run, 20);
  EXPECT_EQ(run.summary().status, RunStatus::NotStarted);
}

TEST_F(LostRun, OnAnotherHostDeathIsNeverCertain) {
  const RunDirectory run = new_run(process_record(::getpid()));
  publish_file(run.path() / "supervisor.json", R"({"pid":1,"host":"another-host","start_time":5})");
  let_pass(run, 1000);
  EXPECT_EQ(run.summary().status, RunStatus::NotResponding);
  EXPECT_TRUE(is_settled(run, run.summary()));
  EXPECT_FALSE(end_lost_run(run));
}

TEST_F(LostRun, AStagedRunIsSeenWhenItIsPublishedAndNotBefore) {
  StagedRun stage(workspace_, "exp");
  stage.run().write_record({{"submitted", 1.0}, {"command", "x"}});
  const std::string id = stage.run().id();
  EXPECT_TRUE(list_runs(workspace_).empty());
  EXPECT_FALSE(find_run(workspace_, id));
  EXPECT_FALSE(find_run(workspace_, "latest"));
  const RunDirectory run = stage.publish();
  EXPECT_EQ(run.id(), id);
  EXPECT_EQ(find_run(workspace_, "latest")->id(), id);
  EXPECT_EQ(run.path().filename(), id);
}

TEST_F(LostRun, AnUnpublishedStageLeavesNothing) {
  { const StagedRun stage(workspace_, "exp"); }
  EXPECT_TRUE(names_in(workspace_.runs() / "exp").empty());
}

TEST_F(LostRun, StagesOfKilledMakersAreFoundAndRemoved) {
  EXPECT_EQ(in_child([&] {
              const StagedRun stage(workspace_, "exp");
              ::raise(SIGKILL);
              return 0;
            }),
            -SIGKILL);
  const StagedRun alive(workspace_, "exp");
  const auto found = abandoned_stages(workspace_);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NE(found.front(), alive.run().path());
  EXPECT_EQ(abandoned_stages(workspace_, "exp"), found);
  EXPECT_FALSE(remove_abandoned(alive.run().path()));
  EXPECT_TRUE(remove_abandoned(found.front()));
  EXPECT_TRUE(fs::exists(alive.run().path()));
  EXPECT_EQ(names_in(workspace_.runs() / "exp").size(), 2u);  // the living one and its claim
}

}  // namespace
}  // namespace lockstep
