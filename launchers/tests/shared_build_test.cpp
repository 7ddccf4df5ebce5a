#include "lockstep/launchers/shared_build.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "lockstep/core/process.h"
#include "lockstep/core/tests/temporary_directory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;
using Lines = std::vector<std::string>;

TEST(TellingLines, AreTheErrorsOfACompiler) {
  std::string output = "[1/9] Building CXX object a.o\n";
  for (int i = 0; i < 100; ++i) output += "note: noise\n";
  output += "/s/a.cc:3:5: error: 'x' was not declared\n    3 |     x;\n      |     ^\nninja: build stopped\n";
  EXPECT_EQ(telling_lines(output), (Lines{"/s/a.cc:3:5: error: 'x' was not declared", "    3 |     x;", "      |     ^",
                                          "ninja: build stopped"}));
}

TEST(TellingLines, AreOfCMakeAndPipTooAndElseTheLast) {
  EXPECT_EQ(telling_lines("a\nERROR: No matching distribution\n"), Lines{"ERROR: No matching distribution"});
  EXPECT_EQ(telling_lines("x\nCMake Error at CMakeLists.txt:2 (find_package):\n\n  Could not find\n").size(), 2u);
  EXPECT_EQ(telling_lines("1\n2\n3\n", 2), (Lines{"2", "3"}));
  EXPECT_EQ(telling_lines("10%\r50%\r100%\n\x1b[31mred\n").front(), "100%");
  EXPECT_TRUE(telling_lines("").empty());
}

class SharedBuild : public ::testing::Test {
 protected:
  SharedBuild() {
    plan_.title = "thing";
    plan_.directory = directory_ / "built/key";
    request_.variables = {{"PATH", "/usr/bin:/bin"}};
    callbacks_.on_text = [this](const std::string& text) { text_ += text; };
    callbacks_.on_detail = [this](const std::string& detail) { details_.push_back(detail); };
    callbacks_.on_tick = [this] { ++ticks_; };
    callbacks_.wants_stop = [this] { return stop_; };
  }

  void step(const std::string& script) { plan_.steps.push_back({"step", {"sh", "-c", script}, "a hint"}); }
  auto build() { return shared_build(plan_, request_, signals_, callbacks_); }

  TemporaryDirectory directory_;
  WaitSignals signals_{true, false};
  BuildPlan plan_;
  BuildRequest request_;
  BuildCallbacks callbacks_;
  std::string text_;
  Lines details_;
  int ticks_ = 0;
  bool stop_ = false;
};

TEST_F(SharedBuild, IsMadeOnceAndThenThere) {
  plan_.files = {{"in/a.txt", "text"}};
  step("cat in/a.txt; echo x >> ../count");
  callbacks_.on_built = [](nlohmann::ordered_json& record) { record["extra"] = 7; };
  EXPECT_EQ(build()->at("extra"), 7);
  EXPECT_EQ(build()->at("extra"), 7);
  EXPECT_EQ(contents(directory_ / "built/count"), "x\n");
  EXPECT_NE(text_.find("text"), std::string::npos);
  EXPECT_EQ(details_.front(), "building thing");
  EXPECT_EQ(details_.back().rfind("thing is there, built ", 0), 0u);
  request_.force = true;
  build();
  EXPECT_EQ(contents(directory_ / "built/count"), "x\nx\n");
}

TEST_F(SharedBuild, AFailureLeavesNothingAndTellsWhy) {
  step("echo 'ERROR: no such thing'; touch half; exit 3");
  try {
    build();
    FAIL();
  } catch (const BuildFailure& failure) {
    EXPECT_EQ(failure.error().what, "thing could not be built: step exited with code 3: ERROR: no such thing");
    EXPECT_EQ(failure.error().hint, "a hint");
    EXPECT_EQ(failure.last_lines(), Lines{"ERROR: no such thing"});
  }
  EXPECT_FALSE(fs::exists(plan_.directory));
  EXPECT_FALSE(fs::exists(plan_.directory.string() + ".claim"));
  plan_.steps.clear();
  step("true");
  EXPECT_TRUE(build());  // a later one tries again
}

TEST_F(SharedBuild, AProgramThatIsNotThereIsNamed) {
  plan_.steps.push_back({"step", {"no-such-program-here"}, "install it"});
  try {
    build();
    FAIL();
  } catch (const BuildFailure& failure) {
    EXPECT_NE(failure.error().what.find("no-such-program-here"), std::string::npos);
    EXPECT_EQ(failure.error().hint, "install it; PATH is /usr/bin:/bin");
  }
}

TEST_F(SharedBuild, IsEndedWhenAsked) {
  step("sleep 1000 & echo $! > ../pid; wait");
  callbacks_.on_tick = [this] { stop_ = fs::exists(directory_ / "built/pid"); };
  EXPECT_FALSE(build());
  EXPECT_FALSE(fs::exists(plan_.directory));
  const int left = std::stoi(contents(directory_ / "built/pid"));
  for (int i = 0; i < 1000 && process_start_time(left); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(process_start_time(left));
}

// Builders as they are: processes of their own. Exactly one builds, all get it; a failure is everybody's.
class SharedBuildByMany : public SharedBuild {
 protected:
  int in_processes(int count) {
    std::vector<pid_t> children;
    for (int i = 0; i < count; ++i) {
      const pid_t child = ::fork();
      if (child == 0) {
        int code = 9;
        try {
          code = build() ? 0 : 1;
        } catch (const BuildFailure& failure) {
          code = failure.last_lines().empty() ? 4 : 3;
        } catch (const std::exception&) {
        }
        ::_exit(code);
      }
      children.push_back(child);
    }
    int sum = 0;
    for (const pid_t child : children) sum += wait_process(child).code;
    return sum;
  }
};

TEST_F(SharedBuildByMany, OneBuilds) {
  step("sleep 0.3; echo x >> ../count");
  EXPECT_EQ(in_processes(4), 0);
  EXPECT_EQ(contents(directory_ / "built/count"), "x\n");
}

TEST_F(SharedBuildByMany, AFailureIsNotRepeatedByThoseThatWaited) {
  step("echo x >> ../count; sleep 1; echo 'ERROR: broken'; exit 1");
  EXPECT_EQ(in_processes(4), 4 * 3);
  EXPECT_EQ(contents(directory_ / "built/count"), "x\n");
}

TEST_F(SharedBuildByMany, AnotherBuildsWhenTheBuilderIsKilled) {
  step("echo x >> ../count; test -e ../again && exit 0; echo $$ > ../pid; touch half; sleep 1000");
  const pid_t first = ::fork();
  if (first == 0) {
    build();
    ::_exit(0);
  }
  for (int i = 0; i < 2000 && contents(directory_ / "built/pid").empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ::kill(first, SIGKILL);
  wait_process(first);
  std::ofstream(directory_ / "built/again") << "now";
  EXPECT_EQ(in_processes(2), 0);
  EXPECT_EQ(contents(directory_ / "built/count"), "x\nx\n");
  EXPECT_FALSE(fs::exists(plan_.directory / "half"));
  EXPECT_FALSE(process_start_time(std::stoi(contents(directory_ / "built/pid"))));
}

}  // namespace
}  // namespace lockstep
