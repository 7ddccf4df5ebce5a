// Every backend under real MPI: values in closed form, at as many ranks as mpirun started.
#include <gtest/gtest.h>
#include <mpi.h>

#include "collective_cases.h"
#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"

namespace lockstep {
namespace {

using testing::check_all_collectives;

struct Backend {
  std::string name;
  int ranks_per_node = 0;
  std::string progress_thread = "off";
};
std::ostream& operator<<(std::ostream& out, const Backend& b) {
  return out << b.name << (b.ranks_per_node > 0 ? std::to_string(b.ranks_per_node) : "")
             << (b.progress_thread == "on" ? "_thread" : "");
}

int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

class CommunicatorTest : public ::testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    const Backend& backend = GetParam();
    if ((backend.name == "self") != (world_size() == 1)) GTEST_SKIP() << "not for " << world_size() << " ranks";
    communicator_ = make_communicator(MPI_COMM_WORLD, {.backend = backend.name,
                                                       .timeout_seconds = 60,
                                                       .progress_thread = backend.progress_thread,
                                                       .ranks_per_node = backend.ranks_per_node});
  }
  std::unique_ptr<Communicator> communicator_;
};

TEST_P(CommunicatorTest, HasTheNameThatWasAskedFor) { EXPECT_EQ(communicator_->name(), GetParam().name); }

TEST_P(CommunicatorTest, NoElements) { check_all_collectives(*communicator_, 0); }
TEST_P(CommunicatorTest, OneElement) { check_all_collectives(*communicator_, 1); }
TEST_P(CommunicatorTest, OddCount) { check_all_collectives(*communicator_, 521); }
TEST_P(CommunicatorTest, SeveralThousand) { check_all_collectives(*communicator_, 7'003); }

// Beyond the staging areas, so that they are used again and again; one element type of each size.
TEST_P(CommunicatorTest, LargeCount) {
  constexpr std::int64_t count = 700'003;
  const testing::Arena arena(*communicator_, (count + 128) * 4 * communicator_->size());
  for (const testing::Place place : {testing::Place::direct, testing::Place::foreign, testing::Place::mixed}) {
    testing::check_all_reduce(arena, place, DataType::float32, ReduceOp::average, count);
    testing::check_all_reduce(arena, place, DataType::bfloat16, ReduceOp::sum, count);
    testing::check_all_reduce(arena, place, DataType::int64, ReduceOp::max, count / 2);
    testing::check_reduce_scatter(arena, place, DataType::float32, ReduceOp::sum, count, /*in_place=*/true);
    testing::check_all_gather(arena, place, DataType::float16, count, /*in_place=*/false);
    testing::check_broadcast(arena, place, DataType::float64, count / 2, communicator_->size() - 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorTest,
                         ::testing::Values(Backend{"self"}, Backend{"mpi"}, Backend{"mpi", 0, "on"}, Backend{"shm"}, Backend{"shm", 0, "on"},
                                           Backend{"hierarchical", 1}, Backend{"hierarchical", 2},
                                           Backend{"hierarchical", 3}, Backend{"hierarchical", 3, "on"}),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace lockstep
