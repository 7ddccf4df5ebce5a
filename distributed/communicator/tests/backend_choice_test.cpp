// What `auto` takes on pretended nodes, with a cache folder of the test's own.
#include <gtest/gtest.h>
#include <mpi.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

class BackendChoice : public ::testing::Test {
 protected:
  void SetUp() override {
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    int pid = static_cast<int>(::getpid());
    MPI_Bcast(&pid, 1, MPI_INT, 0, MPI_COMM_WORLD);
    folder_ = fs::temp_directory_path() / ("backend_choice_test." + std::to_string(pid));
    if (rank_ == 0) fs::remove_all(folder_);
    MPI_Barrier(MPI_COMM_WORLD);
    ::setenv("LOCKSTEP_CACHE", folder_.c_str(), 1);
    ::unsetenv("LOCKSTEP_COMMUNICATOR");
  }
  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank_ == 0) fs::remove_all(folder_);
    ::unsetenv("LOCKSTEP_COMMUNICATOR");
  }

  // Every rank a node of its own; all the time that a measurement may take on a busy machine.
  static CommunicatorChoice choice(const std::string& backend = "auto") {
    return make_communicator(MPI_COMM_WORLD, {.backend = backend, .ranks_per_node = 1, .measure_seconds = 60})
        ->choice();
  }
  std::vector<fs::path> files() {
    MPI_Barrier(MPI_COMM_WORLD);
    std::vector<fs::path> result;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(folder_ / "links", none)) result.push_back(entry.path());
    MPI_Barrier(MPI_COMM_WORLD);
    return result;
  }
  void plant(double hierarchical_seconds, double mpi_seconds) {
    choice();  // for the name of the file
    const auto all = files();
    ASSERT_EQ(all.size(), 1u);
    if (rank_ == 0) {
      const auto link = [](const char* backend, double seconds) {
        return fit_link(backend, {{1 << 19, seconds / 2}, {1 << 20, seconds}});
      };
      std::ofstream(all[0]) << to_text({{link("hierarchical", hierarchical_seconds), link("mpi", mpi_seconds)}});
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }

  int rank_ = 0;
  int size_ = 0;
  fs::path folder_;
};

TEST_F(BackendChoice, IsNotMeasuredWhereThereIsNone) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {});
  EXPECT_EQ(communicator->choice().backend, size_ == 1 ? "self" : "shm");
  EXPECT_EQ(communicator->choice().why, size_ == 1 ? "there is one rank" : "all ranks are on one node");
  EXPECT_TRUE(communicator->choice().links.links.empty());
  EXPECT_TRUE(files().empty());
}

TEST_F(BackendChoice, IsMeasuredOnceAndKept) {
  if (size_ == 1) GTEST_SKIP() << "one rank has no links";
  const CommunicatorChoice first = choice();
  EXPECT_NE(first.why.find("(measured)"), std::string::npos) << first.why;
  ASSERT_EQ(first.links.links.size(), 2u);
  EXPECT_GE(first.links.find("mpi")->points.size(), 1u);
  EXPECT_EQ(files().size(), 1u);
  const CommunicatorChoice second = choice();
  EXPECT_NE(second.why.find("(cached)"), std::string::npos) << second.why;
  EXPECT_EQ(second.backend, first.backend);
  EXPECT_EQ(second.links.find("mpi")->alpha, first.links.find("mpi")->alpha);
}

TEST_F(BackendChoice, NoTimeMeansNoTable) {
  if (size_ == 1) GTEST_SKIP() << "one rank has no links";
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.ranks_per_node = 1, .measure_seconds = 0});
  EXPECT_EQ(communicator->name(), "hierarchical");
  EXPECT_EQ(communicator->choice().why, "the ranks are on several nodes; the links could not be measured");
  EXPECT_TRUE(files().empty());
}

TEST_F(BackendChoice, FollowsTheTable) {
  if (size_ == 1) GTEST_SKIP() << "one rank has no links";
  plant(0.010, 0.001);
  EXPECT_EQ(choice().backend, "mpi");
  EXPECT_EQ(make_communicator(MPI_COMM_WORLD, {.ranks_per_node = 1})->name(), "mpi");
  plant(0.001, 0.010);
  EXPECT_EQ(choice().backend, "hierarchical");
  EXPECT_EQ(choice().why, "for 1024 KB hierarchical takes 1 ms, mpi 10 ms (cached)");
}

TEST_F(BackendChoice, ADamagedTableIsMeasuredAgain) {
  if (size_ == 1) GTEST_SKIP() << "one rank has no links";
  choice();
  const auto all = files();
  ASSERT_EQ(all.size(), 1u);
  if (rank_ == 0) std::ofstream(all[0]) << "{\"format\": 1, \"li";
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT_NE(choice().why.find("(measured)"), std::string::npos);
  EXPECT_NE(choice().why.find("(cached)"), std::string::npos) << "the table was not replaced";
}

TEST_F(BackendChoice, ACacheThatCannotBeWrittenIsNoError) {
  if (size_ == 1) GTEST_SKIP() << "one rank has no links";
  ::setenv("LOCKSTEP_CACHE", "/proc/self/no/such/folder", 1);
  EXPECT_NE(choice().why.find("(measured"), std::string::npos);
  EXPECT_NE(choice().why.find("(measured"), std::string::npos);
}

// Rank 0's word is everybody's: the launcher may give ranks different environments.
TEST_F(BackendChoice, AVariableOverridesIt) {
  if (size_ == 1) GTEST_SKIP() << "one rank has no links";
  ::setenv("LOCKSTEP_COMMUNICATOR", rank_ == 0 ? "mpi" : "nonsense", 1);
  EXPECT_EQ(choice().backend, "mpi");
  EXPECT_EQ(choice().why, "LOCKSTEP_COMMUNICATOR asks for it");
  EXPECT_EQ(choice("hierarchical").backend, "hierarchical");
  EXPECT_EQ(choice("hierarchical").why, "asked for");
  ::setenv("LOCKSTEP_COMMUNICATOR", "self", 1);
  try {
    choice();
    ADD_FAILURE() << "self was accepted for several ranks";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::usage);
  }
}

}  // namespace
}  // namespace lockstep
