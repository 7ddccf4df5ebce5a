// Several communicators in one process, over different groups of ranks: whoever waits on one keeps all of them going.
// Ranks wait in different orders, which is allowed: only the calls on one communicator must be in one order.
#include <gtest/gtest.h>
#include <mpi.h>

#include <memory>
#include <string>
#include <vector>

#include "collective_cases.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "real_nodes.h"

namespace lockstep {
namespace {

struct Case {
  std::string backend;
  int ranks_per_node;
  std::string progress_thread;
};
std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.backend << c.ranks_per_node << "_thread_" << c.progress_thread;
}

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}
int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

class SeveralCommunicators : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (world_size() == 1) GTEST_SKIP() << "one rank waits for nobody";
    const std::string reason = testing::why_not_here(GetParam().backend, GetParam().ranks_per_node);
    if (!reason.empty()) GTEST_SKIP() << reason;
  }

  // Over the ranks with the same colour, in the order of `key`.
  static std::unique_ptr<Communicator> make(int color, int key) {
    MPI_Comm group = MPI_COMM_NULL;
    MPI_Comm_split(MPI_COMM_WORLD, color, key, &group);
    auto communicator = make_on(group);
    MPI_Comm_free(&group);
    return communicator;
  }

  static std::unique_ptr<Communicator> make_on(MPI_Comm comm) {
    const Case& c = GetParam();
    return make_communicator(comm, {.backend = c.backend,
                                    .timeout_seconds = 20,
                                    .progress_thread = c.progress_thread,
                                    .ranks_per_node = c.ranks_per_node});
  }
};

// Large enough that no rank can do its part in one go: the peers must come back again and again.
struct Task {
  explicit Task(Communicator& c, int number, std::int64_t count = 600'011)
      : data(static_cast<std::size_t>(count)), buffer{data.data(), count}, salt(number), communicator(c) {
    testing::fill(buffer, c.rank(), salt);
    work = c.all_reduce(buffer, ReduceOp::sum);
  }
  void finish() {
    work.wait();
    testing::check_elements(
        buffer, [&](std::int64_t i) { return testing::expected(ReduceOp::sum, communicator.size(), i, salt); });
  }
  std::vector<float> data;
  Buffer buffer;
  int salt;
  Communicator& communicator;
  Work work;
};

TEST_P(SeveralCommunicators, MayBeWaitedForInAnyOrder) {
  const auto rows = make(world_rank() / 2, world_rank());
  const auto columns = make(world_rank() % 2, -world_rank());
  const auto world = make(0, -world_rank());
  std::vector<Communicator*> all{rows.get(), columns.get(), world.get()};
  if (rows->size() == 1 || columns->size() == 1) std::erase_if(all, [](auto* c) { return c->size() == 1; });
  for (int step = 0; step < 12; ++step) {
    std::vector<std::unique_ptr<Task>> tasks;
    for (std::size_t i = 0; i < all.size(); ++i) tasks.push_back(std::make_unique<Task>(*all[i], step));
    for (std::size_t i = 0; i < all.size(); ++i)
      tasks[(i + static_cast<std::size_t>(world_rank())) % all.size()]->finish();
  }
}

TEST_P(SeveralCommunicators, TwoOverTheSameRanks) {
  const auto a = make(0, 0), b = make(0, -world_rank());
  for (int step = 0; step < 12; ++step) {
    Task first(*a, step), second(*b, step + 1);
    if (world_rank() % 2 == 0) {
      first.finish();
      second.finish();
    } else {
      second.finish();
      first.finish();
    }
  }
}

// What only MPI's blocking calls can do, memory and new communicators, must not stop what a peer waits for.
TEST_P(SeveralCommunicators, GoOnWhileMemoryIsAllocated) {
  const auto a = make(0, 0), b = make(0, 0);
  for (int step = 0; step < 6; ++step) {
    Task task(*b, step);
    std::shared_ptr<DirectMemory> memory;
    if (world_rank() % 2 == 0) {
      memory = a->allocate(10'000);
      task.finish();
    } else {
      task.finish();
      memory = a->allocate(10'000);
    }
  }
}

TEST_P(SeveralCommunicators, GoOnWhileAnotherIsMadeAndDestroyed) {
  const auto b = make(0, 0);
  for (int step = 0; step < 4; ++step) {
    Task first(*b, step), second(*b, step + 1);
    if (world_rank() % 2 == 0) {
      auto passing = make_on(MPI_COMM_WORLD);
      first.finish();
      passing.reset();
      second.finish();
    } else {
      first.finish();
      auto passing = make_on(MPI_COMM_WORLD);
      second.finish();
      passing.reset();
    }
  }
}

TEST_P(SeveralCommunicators, GoOnDuringABarrier) {
  const auto a = make(0, 0), b = make(0, 0);
  for (int step = 0; step < 6; ++step) {
    Task task(*b, step);
    if (world_rank() % 2 == 0) {
      a->barrier();
      task.finish();
    } else {
      task.finish();
      a->barrier();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, SeveralCommunicators,
                         ::testing::Values(Case{"mpi", 0, "off"}, Case{"mpi", 0, "on"}, Case{"shm", 0, "off"},
                                           Case{"shm", 0, "on"}, Case{"hierarchical", 0, "off"},
                                           Case{"hierarchical", 0, "on"}, Case{"hierarchical", 1, "off"},
                                           Case{"hierarchical", 1, "on"}),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace lockstep
