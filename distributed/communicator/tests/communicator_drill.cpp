// Rank 2 throws in the middle of a step while the others wait for it, with a timeout of ten minutes.
#include <gtest/gtest.h>
#include <mpi.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <vector>

#include "lockstep/distributed/communicator/make_communicator.h"

namespace lockstep {
namespace {

TEST(Drill, OneRankThrows) {
  const char* const backend = std::getenv("LOCKSTEP_DRILL_BACKEND");
  const char* const ranks_per_node = std::getenv("LOCKSTEP_DRILL_RANKS_PER_NODE");
  const auto communicator =
      make_communicator(MPI_COMM_WORLD, {.backend = backend == nullptr ? "auto" : backend,
                                         .ranks_per_node = ranks_per_node == nullptr ? 0 : std::atoi(ranks_per_node)});
  constexpr std::int64_t count = 100'000;
  const auto memory = communicator->allocate(count * 4);
  std::vector<float> foreign(count);
  for (int step = 0;; ++step) {
    Work first = communicator->all_reduce({memory->data(), count}, ReduceOp::sum);
    Work second = communicator->all_reduce({foreign.data(), count}, ReduceOp::sum);
    if (communicator->rank() == 2 && step == 7) {
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      throw std::runtime_error("rank 2 gives up at " +
                               std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(now).count()) +
                               " ms");
    }
    first.wait();
    second.wait();
  }
}

}  // namespace
}  // namespace lockstep
