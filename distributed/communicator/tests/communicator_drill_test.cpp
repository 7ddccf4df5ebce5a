// When one rank throws, all ranks are gone within five seconds, and the message says which rank and why.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>

#include "lockstep/core/process.h"

namespace lockstep {
namespace {

struct Case {
  const char* backend;
  const char* ranks_per_node;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.backend << c.ranks_per_node; }

class DrillTest : public ::testing::TestWithParam<Case> {};

TEST_P(DrillTest, OneRankThrowsAllAreGone) {
  const std::string token = std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  ::setenv("LOCKSTEP_DRILL_BACKEND", GetParam().backend, 1);
  ::setenv("LOCKSTEP_DRILL_RANKS_PER_NODE", GetParam().ranks_per_node, 1);
  ::setenv("LOCKSTEP_DRILL_TOKEN", token.c_str(), 1);
  const auto run =
      capture({.argv = {LOCKSTEP_MPIEXEC, "--oversubscribe", "--bind-to", "none", "-np", "4", LOCKSTEP_DRILL},
               .new_session = true},
              /*timeout_seconds=*/50);
  const auto end =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  ::unsetenv("LOCKSTEP_DRILL_TOKEN");
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_EQ(run->status.signal, 0) << "it had to be killed";
  EXPECT_NE(run->status.code, 0);
  const std::string message = "rank 2: uncaught exception: rank 2 gives up at ";
  const auto at = run->error.find(message);
  ASSERT_NE(at, std::string::npos) << run->error << run->output;
  EXPECT_LT(end - std::stoll(run->error.substr(at + message.size())), 5000) << "milliseconds from the throw to the end";
  EXPECT_TRUE(processes_with_environment("LOCKSTEP_DRILL_TOKEN", token).empty()) << "a rank is still alive";
}

INSTANTIATE_TEST_SUITE_P(Backends, DrillTest,
                         ::testing::Values(Case{"shm", "0"}, Case{"mpi", "0"}, Case{"hierarchical", "2"}),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace lockstep
