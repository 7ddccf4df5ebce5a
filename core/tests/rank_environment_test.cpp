#include "lockstep/core/rank_environment.h"

#include <gtest/gtest.h>

#include <map>

namespace lockstep {
namespace {

using Variables = std::map<std::string, std::string>;

Result<std::optional<RankEnvironment>> read(const Variables& variables) {
  return read_rank_environment([&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return {};
    return found->second;
  });
}

RankEnvironment found_in(const Variables& variables) { return read(variables).value().value(); }

const Variables kOpenMpi{{"OMPI_COMM_WORLD_RANK", "5"},
                         {"OMPI_COMM_WORLD_SIZE", "6"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "3"}};
const Variables kMpich{{"PMI_RANK", "7"}, {"PMI_SIZE", "9"}, {"MPI_LOCALRANKID", "1"}, {"MPI_LOCALNRANKS", "4"}};
const Variables kSlurm{{"SLURM_PROCID", "3"},
                       {"SLURM_STEP_NUM_TASKS", "5"},
                       {"SLURM_LOCALID", "1"},
                       {"SLURM_NODEID", "1"},
                       {"SLURM_STEP_TASKS_PER_NODE", "2(x2),1"}};

Variables both(Variables a, const Variables& b) {
  a.insert(b.begin(), b.end());
  return a;
}

TEST(RankEnvironment, NothingWithoutALauncher) { EXPECT_FALSE(read({{"PATH", "/bin"}, {"RANK", "3"}}).value()); }

TEST(RankEnvironment, OpenMpi) {
  const auto found = found_in(kOpenMpi);
  EXPECT_EQ(found.source, "Open MPI");
  EXPECT_EQ(found.rank, 5);
  EXPECT_EQ(found.world_size, 6);
  EXPECT_EQ(found.local_rank, 2);
  EXPECT_EQ(found.local_world_size, 3);
}

TEST(RankEnvironment, MpichMvapichTorchrun) {
  EXPECT_EQ(found_in(kMpich).rank, 7);
  EXPECT_EQ(found_in(kMpich).local_world_size, 4);
  EXPECT_EQ(found_in({{"MV2_COMM_WORLD_RANK", "1"}, {"MV2_COMM_WORLD_SIZE", "2"}}).source, "MVAPICH");
  EXPECT_EQ(found_in({{"RANK", "1"}, {"WORLD_SIZE", "2"}, {"LOCAL_RANK", "0"}}).source, "torchrun");
}

TEST(RankEnvironment, PmixTellsTheRankAlone) {
  const auto found = found_in({{"PMIX_RANK", "4"}, {"PMIX_NAMESPACE", "job.1"}});
  EXPECT_EQ(found.rank, 4);
  EXPECT_FALSE(found.world_size);
}

TEST(RankEnvironment, SlurmCountsTheTasksOfItsNode) {
  const auto found = found_in(both(kSlurm, {{"PMIX_RANK", "3"}, {"PMIX_NAMESPACE", "slurm.1.0"}}));
  EXPECT_EQ(found.source, "Slurm");
  EXPECT_EQ(found.rank, 3);
  EXPECT_EQ(found.world_size, 5);
  EXPECT_EQ(found.local_world_size, 2);
}

TEST(RankEnvironment, UnderMpirunSlurmSpeaksOfTheDaemon) {
  EXPECT_EQ(found_in(both(kSlurm, kOpenMpi)).source, "Open MPI");
  EXPECT_EQ(found_in(both(kSlurm, kMpich)).source, "MPICH");
}

TEST(RankEnvironment, ABatchScriptIsNoRank) {
  EXPECT_FALSE(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_LOCALID", "0"}}).value());
}

TEST(RankEnvironment, NonsenseIsRefused) {
  Variables odd = kOpenMpi;
  odd["OMPI_COMM_WORLD_SIZE"] = "six";
  EXPECT_EQ(read(odd).error().what, "OMPI_COMM_WORLD_SIZE is \"six\", not a whole number from 0");
  odd["OMPI_COMM_WORLD_SIZE"] = "5";
  EXPECT_EQ(read(odd).error().what, "OMPI_COMM_WORLD_RANK is 5, of 5 ranks");
  odd["OMPI_COMM_WORLD_SIZE"] = "99999999999";
  EXPECT_EQ(read(odd).error().kind, ErrorKind::usage);
}

TEST(RankEnvironment, SlurmsCompressedCounts) {
  EXPECT_EQ(slurm_tasks_on_node("2(x3),1", 0), 2);
  EXPECT_EQ(slurm_tasks_on_node("2(x3),1", 2), 2);
  EXPECT_EQ(slurm_tasks_on_node("2(x3),1", 3), 1);
  EXPECT_FALSE(slurm_tasks_on_node("2(x3),1", 4));
  EXPECT_EQ(slurm_tasks_on_node("16", 0), 16);
  for (const char* bad : {"", "x", "2(x", "2(x3", "2(y3)", "(x2)", "2(x)"})
    EXPECT_FALSE(slurm_tasks_on_node(bad, 0)) << bad;
}

}  // namespace
}  // namespace lockstep
