// What goes wrong between ranks: other calls, a rank that does not come, a backend that cannot be used. And what only
// tests reach: MPI's limit on counts, made small.
#include <gtest/gtest.h>
#include <mpi.h>

#include "collective_cases.h"
#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/mpi_communicator.h"
#include "real_nodes.h"

namespace lockstep {
namespace {

int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

Error failure_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure.error();
  }
  return {ErrorKind::internal, "no Failure", {}, {}};
}

// Outside of the communicator under test.
void meet() { MPI_Barrier(MPI_COMM_WORLD); }

struct Case {
  std::string backend;
  int ranks_per_node;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.backend << c.ranks_per_node; }

class FailureTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string reason = testing::why_not_here(GetParam().backend, GetParam().ranks_per_node);
    if (!reason.empty()) GTEST_SKIP() << reason;
  }
  std::unique_ptr<Communicator> make(double timeout_seconds) {
    return make_communicator(MPI_COMM_WORLD, {.backend = GetParam().backend,
                                              .timeout_seconds = timeout_seconds,
                                              .progress_thread = "off",
                                              .ranks_per_node = GetParam().ranks_per_node});
  }
};

TEST_P(FailureTest, OtherCountsAreNamedOnAllRanks) {
  if (world_size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  const auto communicator = make(60);
  const int last = communicator->size() - 1;
  std::vector<float> data(6000, 1.0f);
  const std::int64_t count = communicator->rank() == last ? 5002 : 5003;
  const Error error = failure_of([&] { communicator->all_reduce({data.data(), count}, ReduceOp::sum).wait(); });
  EXPECT_EQ(error.kind, ErrorKind::peer_lost);
  EXPECT_NE(error.what.find("collective #1 differs between ranks: rank " + std::to_string(last) +
                            " calls all_reduce of 5002 float32 (sum), but rank "),
            std::string::npos)
      << error.what;
  EXPECT_NE(error.what.find(" calls all_reduce of 5003 float32 (sum)"), std::string::npos) << error.what;
  EXPECT_EQ(error.where.find("rank " + std::to_string(communicator->rank()) + " on "), 0u) << error.where;
  meet();
}

TEST_P(FailureTest, ARankThatDoesNotComeIsMissed) {
  if (world_size() == 1) GTEST_SKIP() << "nobody to wait for";
  const auto communicator = make(1);  // the ranks have that long to come to make() as well
  std::vector<float> data(6000, 1.0f);
  const bool absent = communicator->rank() == 1;
  if (!absent) {
    const Error error = failure_of([&] { communicator->all_reduce({data.data(), 6000}, ReduceOp::sum).wait(); });
    EXPECT_EQ(error.kind, ErrorKind::peer_lost);
    EXPECT_NE(error.what.find("all_reduce #1 of 6000 float32 (sum) is not complete after 1."), std::string::npos)
        << error.what;
    const std::string named = GetParam().backend == "shm" ? ": not arrived: rank 1" : ": rank 1 does not answer";
    EXPECT_NE(error.what.find(named), std::string::npos) << error.what;
  }
  meet();
  // Too late; and by another call, so that what the others left behind cannot complete it.
  if (absent) {
    EXPECT_EQ(failure_of([&] { communicator->broadcast({data.data(), 6000}, 0).wait(); }).kind, ErrorKind::peer_lost);
  }
  meet();
}

// The call of a rank that took another path is named too, after the calls are no longer compared one by one.
TEST_P(FailureTest, ARankThatWaitsElsewhereSaysWhere) {
  if (world_size() == 1) GTEST_SKIP() << "nobody to wait for";
  const auto communicator = make(2);
  std::vector<float> data(6000, 1.0f);
  for (int i = 0; i < 20; ++i) communicator->barrier();
  const Buffer all{data.data(), 6000};
  const bool astray = communicator->rank() == 1;
  const Error error = failure_of(
      [&] { (astray ? communicator->broadcast(all, 0) : communicator->all_reduce(all, ReduceOp::sum)).wait(); });
  EXPECT_EQ(error.kind, ErrorKind::peer_lost);
  const bool compared = GetParam().backend == "shm";  // there every call is seen by all
  const std::string other = astray ? "all_reduce" : "broadcast";
  EXPECT_NE(error.what.find(compared ? "differs between ranks" : " waits in " + other), std::string::npos)
      << error.what;
  meet();
}

// Memory is allocated together, so a rank that does not come is missed there as well: by the timeout, or at once where
// somebody knows better. The communicator is then of no further use, and its end waits for nobody.
TEST_P(FailureTest, AllocateMissesARankThatDoesNotCome) {
  if (world_size() == 1) GTEST_SKIP() << "nobody to wait for";
  if (GetParam().backend == "mpi" || GetParam().ranks_per_node == 1) GTEST_SKIP() << "memory of each rank alone";
  const bool with_it = testing::shares_node_with(1);
  for (const bool known : {false, true}) {
    bool told = false;
    const Error gone{ErrorKind::peer_lost, "rank 1 has thrown", {}, {}};
    const auto communicator =
        make_communicator(MPI_COMM_WORLD, {.backend = GetParam().backend,
                                           .timeout_seconds = known ? 600.0 : 1.0,
                                           .progress_thread = "off",
                                           .ranks_per_node = GetParam().ranks_per_node,
                                           .interrupted = [&] { return told ? std::optional(gone) : std::nullopt; }});
    told = known;
    const bool absent = communicator->rank() == 1;
    const int simulated = GetParam().ranks_per_node;
    const bool waits = !absent && (simulated == 0 ? with_it : communicator->rank() / simulated == 0);
    if (waits) {
      const Error error = failure_of([&] { communicator->allocate(1000); });
      EXPECT_EQ(error.kind, ErrorKind::peer_lost);
      EXPECT_NE(error.what.find(known ? "rank 1 has thrown" : "a rank has not come to allocate() after 1."),
                std::string::npos)
          << error.what;
      EXPECT_TRUE(communicator->failed());
    } else {
      communicator->abort(gone);
    }
    meet();
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, FailureTest,
                         ::testing::Values(Case{"mpi", 0}, Case{"shm", 0}, Case{"hierarchical", 0},
                                           Case{"hierarchical", 1}, Case{"hierarchical", 3}),
                         ::testing::PrintToStringParamName());

TEST(MakeCommunicator, AnUnusableBackendIsAUsageError) {
  const auto what = [](const CommunicatorOptions& options) {
    const Error error = failure_of([&] { make_communicator(MPI_COMM_WORLD, options); });
    EXPECT_EQ(error.kind, ErrorKind::usage);
    return error.what;
  };
  EXPECT_EQ(what({.backend = "gloo"}), "there is no communicator backend \"gloo\"");
  EXPECT_EQ(what({.backend = "nccl"}),
            "communicator backend \"nccl\" cannot be used here: the buffers are not CUDA memory");
  EXPECT_EQ(what({.backend = "shm", .cuda = true}),
            "communicator backend \"shm\" cannot be used here: the buffers are CUDA memory, which only nccl reaches");
  EXPECT_EQ(what({.timeout_seconds = 0}), "timeout_seconds is 0.000000, expected more than 0");
  EXPECT_EQ(what({.progress_thread = "maybe"}), "progress_thread is \"maybe\", expected auto, on or off");
  EXPECT_EQ(what({.ranks_per_node = -2}), "ranks_per_node is -2, expected 0 (as it is) or more");
  if (world_size() == 1) return;
  EXPECT_EQ(what({.backend = "self"}),
            "communicator backend \"self\" cannot be used here: there are " + std::to_string(world_size()) + " ranks");
  EXPECT_EQ(what({.backend = "shm", .ranks_per_node = 1}),
            "communicator backend \"shm\" cannot be used here: the ranks are on several nodes: 1 of " +
                std::to_string(world_size()) + " on this one");
}

// Counts beyond MPI's int are cut into pieces; here beyond 100.
TEST(MpiCommunicator, LongCollectivesAreCutIntoPieces) {
  MpiCommunicatorOptions options;
  options.engine = std::make_shared<ProgressEngine>(ProgressOptions{.timeout_seconds = 60, .where = ""});
  options.elements_per_call = 100;
  MpiCommunicator communicator(MpiComm::duplicate(MPI_COMM_WORLD), options);
  for (const std::int64_t count : {99, 100, 101, 250}) testing::check_all_collectives(communicator, count);
}

// A handle may outlive its communicator; it then has nothing to wait for.
TEST(Work, OutlivesItsCommunicator) {
  std::vector<float> data(5000, 1.0f);
  Work work;
  {
    const auto communicator = make_communicator(MPI_COMM_WORLD, {});
    work = communicator->all_reduce({data.data(), 5000}, ReduceOp::sum);
  }
  work.wait();
  EXPECT_EQ(data[4999], static_cast<float>(world_size()));
}

}  // namespace
}  // namespace lockstep
