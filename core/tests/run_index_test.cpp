#include "lockstep/core/run_index.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "lockstep/core/experiment_record.h"
#include "lockstep/core/run_condition.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class RunIndexTest : public testing::Test {
 protected:
  // Finished, without going through all that writing an event takes.
  fs::path add_run(const std::string& experiment, int number, const char* status = "Completed") {
    char suffix[40];
    std::snprintf(suffix, sizeof suffix, "_%d_%08x", 1'700'000'000 + number, number);
    const fs::path path = workspace_.runs() / experiment / (experiment + suffix);
    fs::create_directories(path);
    write_contents(path / "run.json", nlohmann::json{{"submitted", 1.7e9 + number + 0.25},
                                                     {"target", "local"},
                                                     {"command", "train --n " + std::to_string(number)},
                                                     {"parent", number % 2 ? "p" : ""}}
                                          .dump());
    write_contents(
        path / "events.jsonl",
        std::string(R"({"sequence":0,"time":1700000001.5,"status":"Running","attempt":1})") + "\n" +
            R"({"sequence":1,"time":1700000002.5,"status":")" + status +
            R"(","attempt":1,"detail":"d","cause":{"reason":"completed","exit_code":0,"last_lines":["x"]}})" + "\n");
    return path;
  }

  void add_runs(int count) {
    for (int i = 0; i < count; ++i) add_run(i % 2 ? "odd" : "even", i);
  }

  std::string listing(const RunQuery& query = {}) {
    std::string text;
    std::vector<std::string> warnings;
    for (const RunSummary& run : query_runs(workspace_, query, &warnings)) text += to_json(run).dump() + "\n";
    EXPECT_EQ(warnings, std::vector<std::string>{});
    return text;
  }

  fs::path index(const char* experiment) { return workspace_.runs() / experiment / ".index.jsonl"; }

  TemporaryDirectory directory_;
  Workspace workspace_ = Workspace::create(directory_.path(), "w").value();
};

TEST_F(RunIndexTest, AListingFromTheIndexIsTheListingWithoutIt) {
  add_runs(140);
  const std::string without = listing();
  EXPECT_EQ(std::count(without.begin(), without.end(), '\n'), 140);
  ASSERT_TRUE(fs::exists(index("odd")));
  EXPECT_EQ(listing(), without);
  EXPECT_NE(without.find(R"("parent":"p")"), std::string::npos);
  EXPECT_EQ(without.find("last_lines"), std::string::npos);
}

// What the index holds is not read again: the events are gone, and nobody notices.
TEST_F(RunIndexTest, IndexedRunsAreNotOpened) {
  add_runs(140);
  const std::string before = listing();
  for (const char* experiment : {"odd", "even"})
    for (const auto& run : fs::directory_iterator(workspace_.runs() / experiment))
      if (run.is_directory()) fs::remove(run.path() / "events.jsonl");
  EXPECT_EQ(listing(), before);
}

TEST_F(RunIndexTest, FewNewRunsAreReadAndNotWritten) {
  add_runs(140);
  listing();
  const std::string written = contents(index("odd"));
  add_run("odd", 1001);
  EXPECT_NE(listing().find("1700001001"), std::string::npos);
  EXPECT_EQ(contents(index("odd")), written);
  for (int i = 0; i < 60; ++i) add_run("odd", 2001 + i);
  const std::string all = listing();
  EXPECT_NE(contents(index("odd")), written);
  EXPECT_EQ(listing(), all);
}

TEST_F(RunIndexTest, RunsThatGoOnAreNeverIndexed) {
  add_runs(140);
  const fs::path run = add_run("odd", 5001, "Queued");
  listing();
  EXPECT_EQ(contents(index("odd")).find("1700005001"), std::string::npos);
}

TEST_F(RunIndexTest, RemovedRunsAreGoneAtOnce) {
  add_runs(140);
  listing();
  fs::remove_all(workspace_.runs() / "odd" / "odd_1700000003_00000003");
  EXPECT_EQ(listing().find("1700000003"), std::string::npos);
}

TEST_F(RunIndexTest, ADamagedIndexIsNoObstacle) {
  add_runs(140);
  const std::string right = listing();
  const std::string good = contents(index("odd"));
  std::string garbled = good, other_version = good;
  for (std::size_t i = 50; i < garbled.size(); i += 7) garbled[i] = '"';
  other_version.replace(0, 12, R"({"format":9,)");
  for (const std::string& bad : {std::string(), std::string("garbage"), std::string(100, '\0'), good.substr(0, 1000),
                                 garbled, other_version, std::string("\n\n{\"id\":\"a\"}\n"), good.substr(30)}) {
    write_contents(index("odd"), bad);
    EXPECT_EQ(listing(), right) << bad.substr(0, 60);
  }
  fs::remove(index("odd"));
  fs::create_directory(index("odd"));
  EXPECT_EQ(listing(), right);
}

TEST_F(RunIndexTest, TheNewestAloneAreRead) {
  add_runs(140);
  const std::string all = listing();
  for (const auto& run : fs::directory_iterator(workspace_.runs() / "odd"))
    if (run.is_directory() && run.path().filename() != "odd_1700000139_0000008b") fs::remove(run.path() / "run.json");
  fs::remove(index("odd"));
  const std::string newest = listing({.newest = 2});
  EXPECT_EQ(newest, all.substr(0, newest.size()));
  EXPECT_EQ(std::count(newest.begin(), newest.end(), '\n'), 2);
}

TEST_F(RunIndexTest, TagsAreReadWhereTheyAreWanted) {
  const fs::path run = add_run("odd", 1);
  write_contents(run / "tags.json", R"({"team":"vision","n":3,"new":{"deep":[1]}})");
  EXPECT_TRUE(query_runs(workspace_, {}).front().tags.empty());
  const auto tags = query_runs(workspace_, {.tags = true}).front().tags;
  EXPECT_EQ(tags.at("team"), "vision");
  EXPECT_EQ(tags.at("n"), "3");
}

TEST_F(RunIndexTest, ArchivedExperimentsAreLeftOut) {
  add_runs(4);
  EXPECT_FALSE(find_experiment(workspace_, "odd").archived);
  set_archived(workspace_, "odd", true);
  EXPECT_EQ(query_runs(workspace_, {}).size(), 2u);
  EXPECT_EQ(query_runs(workspace_, {.archived = true}).size(), 4u);
  EXPECT_EQ(query_runs(workspace_, {.experiment = "odd"}).size(), 2u);
  const auto records = list_experiments(workspace_);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_TRUE(records[1].archived);
  EXPECT_EQ(records[1].runs, 2u);
  EXPECT_EQ(records[1].newest, 1'700'000'003);
  set_archived(workspace_, "odd", false);
  EXPECT_EQ(query_runs(workspace_, {}).size(), 4u);
  try {
    set_archived(workspace_, "evn", true);
    FAIL() << "archived what is not there";
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().what.find("even"), std::string::npos) << failure.error().what;
  }
}

bool holds(const char* condition) {
  const std::map<std::string, std::string> run{
      {"status", "Failed"}, {"params.lr", "0.001"}, {"tags.team", "vision lab"}, {"metrics.loss", "1e1"}};
  return RunCondition::parse(condition).holds([&](const std::string& key) -> std::optional<std::string> {
    const auto found = run.find(key);
    return found == run.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(RunConditions, CompareNumbersAndWords) {
  for (const char* yes :
       {"status = failed", "status==Failed", "params.lr<0.01", "params.lr = 1e-3", "metrics.loss > 9",
        "metrics.loss>=10", "tags.team = 'vision lab'", "tags.team ~ \"lab\"", "tags.team != x", "none != 1",
        "not none = 1", "status = Failed and params.lr < 1", "status = x or params.lr < 1",
        "(status = x or status = failed) and not none=1", "status = x and none = 1 or params.lr<1", "NOT (status = x)",
        "not status = x AND params.lr < 1"})
    EXPECT_TRUE(holds(yes)) << yes;
  for (const char* no : {"status = x", "params.lr > 0.01", "none = 1", "none < 1", "status = failed and none = 1",
                         "not status = failed", "params.lr < 1 and (status = x or none = 2)", "tags.team = vision"})
    EXPECT_FALSE(holds(no)) << no;
  EXPECT_EQ(RunCondition::parse("a = 1 and (b = 2 or not c.d ~ 3)").keys(),
            (std::vector<std::string>{"a", "b", "c.d"}));
}

TEST(RunConditions, SayWhereTheyGoWrong) {
  for (const auto& [text, said] : std::vector<std::pair<const char*, const char*>>{
           {"", "its end where a key"},
           {"status", "its end where one of = !="},
           {"status =", "its end where a value"},
           {"status = a b = c", "\"b = c\" where \"and\", \"or\" or the end"},
           {"(status = a", "its end where \")\""},
           {"status => 1", "\"=> 1\" where one of"},
           {"status = 'a", "the second quote"},
           {"and = 1 or", "its end where a key"}}) {
    try {
      RunCondition::parse(text);
      ADD_FAILURE() << text << " was taken";
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      EXPECT_NE(failure.error().what.find(said), std::string::npos) << failure.error().what;
    }
  }
  EXPECT_THROW(RunCondition::parse(std::string(100'000, '(')), Failure);
}

}  // namespace
}  // namespace lockstep
