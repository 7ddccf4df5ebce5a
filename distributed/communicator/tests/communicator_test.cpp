// Every backend under real MPI: values in closed form, at as many ranks as mpirun started.
#include <gtest/gtest.h>
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "random_collectives.h"
#include "real_nodes.h"

namespace lockstep {
namespace {

using testing::check_all_collectives;

struct Backend {
  std::string name;
  int ranks_per_node = 0;
  std::string progress_thread = "off";
  bool deal_ranks = false;
};
std::ostream& operator<<(std::ostream& out, const Backend& b) {
  return out << b.name << (b.ranks_per_node > 0 ? std::to_string(b.ranks_per_node) : "")
             << (b.progress_thread == "on" ? "_thread" : "") << (b.deal_ranks ? "_dealt" : "");
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
    const std::string reason = testing::why_not_here(backend.name, backend.ranks_per_node);
    if (!reason.empty()) GTEST_SKIP() << reason;
    communicator_ = make_communicator(MPI_COMM_WORLD, {.backend = backend.name,
                                                       .timeout_seconds = 60,
                                                       .progress_thread = backend.progress_thread,
                                                       .ranks_per_node = backend.ranks_per_node,
                                                       .deal_ranks = backend.deal_ranks});
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
    testing::check_reduce_scatter(arena, place, DataType::bfloat16, ReduceOp::average, count, /*in_place=*/false);
    testing::check_all_gather(arena, place, DataType::float16, count, /*in_place=*/false);
    testing::check_all_gather(arena, place, DataType::float32, count, /*in_place=*/true);
    testing::check_broadcast(arena, place, DataType::float64, count / 2, communicator_->size() - 1);
  }
}

// The sum of all ranks lies beyond float16's largest value, their mean does not.
TEST_P(CommunicatorTest, AveragesOfFloat16DoNotOverflow) {
  for (const std::int64_t count : {5, 40'000}) {
    const auto memory = communicator_->allocate(count * 2 * communicator_->size());
    std::vector<std::uint16_t> foreign(static_cast<std::size_t>(count * communicator_->size()));
    for (void* const place : {memory->data(), static_cast<void*>(foreign.data())}) {
      auto* const values = static_cast<std::uint16_t*>(place);
      std::fill_n(values, count * communicator_->size(), float_to_float16(40'000));
      communicator_->all_reduce({values, count, DataType::float16}, ReduceOp::average).wait();
      for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(float16_to_float(values[i]), 40'000) << i << " of " << count;
      std::vector<std::uint16_t> part(static_cast<std::size_t>(count));
      const Buffer input{values, count * communicator_->size(), DataType::float16};
      communicator_->reduce_scatter(input, {part.data(), count, DataType::float16}, ReduceOp::average).wait();
      for (std::int64_t i = 0; i < count; ++i) ASSERT_EQ(float16_to_float(part[static_cast<std::size_t>(i)]), 40'000);
      EXPECT_EQ(float16_to_float(values[0]), 40'000) << "the input was changed";
    }
  }
}

// 10,000 calls over all backends in the list below, several under way at once, buffers rewritten in between.
TEST_P(CommunicatorTest, RandomCollectives) {
  testing::RandomCollectives(*communicator_, 21, 400).run(1000);
  testing::RandomCollectives(*communicator_, 22, 30'000).run(100);
}

TEST_P(CommunicatorTest, ManyAtOnceFinishInAnyOrder) {
  constexpr std::int64_t count = 3001;
  constexpr int calls = 40;
  const auto memory = communicator_->allocate(count * 8 * calls);
  const auto buffer = [&](int call) {
    return Buffer{static_cast<double*>(memory->data()) + call * count, count, DataType::float64};
  };
  std::vector<Work> works;
  for (int call = 0; call < calls; ++call) {
    testing::fill(buffer(call), communicator_->rank(), call);
    works.push_back(communicator_->all_reduce(buffer(call), ReduceOp::sum));
  }
  for (int call = calls - 1; call >= 0; --call) {
    if (call % 3 == 0) {
      works[static_cast<std::size_t>(call)].wait();
    } else {
      works[static_cast<std::size_t>(call)] = Work();  // dropping waits too
    }
    testing::check_elements(
        buffer(call), [&](std::int64_t i) { return testing::expected(ReduceOp::sum, communicator_->size(), i, call); });
  }
}

// done() alone brings a collective to its end.
TEST_P(CommunicatorTest, PollingIsEnough) {
  std::vector<float> data(20'000);
  const Buffer buffer{data.data(), 20'000};
  testing::fill(buffer, communicator_->rank(), 5);
  Work work = communicator_->all_reduce(buffer, ReduceOp::min);
  while (!work.done()) sched_yield();
  testing::check_elements(
      buffer, [&](std::int64_t i) { return testing::expected(ReduceOp::min, communicator_->size(), i, 5); });
}

// The last rank lets the others wait; on their node they see that, by its rank in the world.
TEST_P(CommunicatorTest, StatisticsCountAndNameTheStraggler) {
  if (world_size() == 1) GTEST_SKIP() << "nobody waits";
  constexpr int calls = 10;
  const int slow = communicator_->size() - 1, rank = communicator_->rank();
  std::vector<float> data(3'000);
  const CommunicatorStatistics before = communicator_->statistics();
  for (int call = 0; call < calls; ++call) {
    if (rank == slow) {
      MPI_Barrier(MPI_COMM_WORLD);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    Work work = communicator_->all_reduce({data.data(), 3'000}, ReduceOp::sum);
    if (rank != slow) MPI_Barrier(MPI_COMM_WORLD);
    work.wait();
  }
  const CommunicatorStatistics after = communicator_->statistics();
  EXPECT_EQ(after.calls - before.calls, calls);
  EXPECT_EQ(after.bytes - before.bytes, calls * 3'000 * 4);
  if (rank != slow && GetParam().progress_thread == "off") {
    EXPECT_GT(after.waited_seconds, 0);
  }
  if (GetParam().name == "mpi") {
    EXPECT_EQ(after.straggler(), -1);
    EXPECT_TRUE(after.of_node.empty());
    return;
  }
  const auto here = std::find_if(after.of_node.begin(), after.of_node.end(), [&](auto& a) { return a.rank == slow; });
  if (here == after.of_node.end()) return;  // on another node
  if (after.of_node.size() == 1) return;    // waits for nobody here
  EXPECT_EQ(here->last, calls);
  EXPECT_EQ(after.straggler(), slow);
}

// One rank's NaN must not vanish: which rank has it, and where in a vector, changes nothing.
TEST_P(CommunicatorTest, MinAndMaxOfNanAreNan) {
  const int rank = communicator_->rank(), size = communicator_->size();
  constexpr std::int64_t count = 1'003;
  std::vector<std::byte> foreign(count * 8 * static_cast<std::size_t>(size));
  const auto memory = communicator_->allocate(count * 8 * size);
  for (const DataType type : {DataType::float32, DataType::bfloat16, DataType::float16, DataType::float64}) {
    for (void* const place : {memory->data(), static_cast<void*>(foreign.data())}) {
      for (const ReduceOp op : {ReduceOp::min, ReduceOp::max}) {
        const auto is_nan_on = [&](int r, std::int64_t i) { return (i / 3) % (size + 1) == r; };
        const Buffer buffer{place, count, type};
        for (std::int64_t i = 0; i < count; ++i) {
          const double nan = std::numeric_limits<double>::quiet_NaN();
          testing::store(buffer, i, is_nan_on(rank, i) ? nan : testing::value(rank, i));
        }
        communicator_->all_reduce(buffer, op).wait();
        for (std::int64_t i = 0; i < count; ++i) {
          const double result = testing::load(buffer, i);
          if ((i / 3) % (size + 1) < size) {
            ASSERT_TRUE(std::isnan(result))
                << op_name(op) << " of " << type_name(type) << " at " << i << ": " << result;
          } else {
            ASSERT_EQ(result, testing::expected(op, size, i))
                << op_name(op) << " of " << type_name(type) << " at " << i;
          }
        }
      }
    }
  }
}

// Sums that depend on the order: equal bits on all ranks and in all repeats.
TEST_P(CommunicatorTest, RepeatsAndRanksAreBitwiseEqual) {
  constexpr std::int64_t count = 50'021;
  const auto memory = communicator_->allocate(count * 4);
  auto* const data = static_cast<float*>(memory->data());
  std::vector<float> first;
  for (int repeat = 0; repeat < 5; ++repeat) {
    for (std::int64_t i = 0; i < count; ++i) {
      data[i] = std::sin(static_cast<float>(i * 13 + communicator_->rank() * 7)) *
                (communicator_->rank() == 2 ? 1e4f : 1e-3f);
    }
    communicator_->all_reduce({data, count}, ReduceOp::sum).wait();
    if (repeat == 0) first.assign(data, data + count);
    ASSERT_EQ(std::memcmp(data, first.data(), count * 4), 0) << "repeat " << repeat;
  }
  std::vector<float> of_rank_0 = first;
  communicator_->broadcast({of_rank_0.data(), count}, 0).wait();
  EXPECT_EQ(std::memcmp(of_rank_0.data(), first.data(), count * 4), 0);
}

// A sharded optimizer must see the gradients that an unsharded one sees, to the last bit. The numbers of ranks and of
// elements make every other order of additions show.
TEST_P(CommunicatorTest, ReduceScatterHasTheBitsOfAllReduce) {
  if (GetParam().name == "mpi") GTEST_SKIP() << "MPI promises nothing about the order of its additions";
  const int rank = communicator_->rank(), size = communicator_->size();
  for (const std::int64_t count : {3, 700, 10'007, 300'001}) {
    const auto memory = communicator_->allocate(2 * count * size * 4);
    std::vector<float> foreign(static_cast<std::size_t>(2 * count * size));
    for (const DataType type : {DataType::float32, DataType::bfloat16, DataType::float16}) {
      for (void* const place : {memory->data(), static_cast<void*>(foreign.data())}) {
        const Buffer whole{place, count * size, type};
        const Buffer scattered = part_of({place, 2 * count * size, type}, count * size, count * size);
        for (const Buffer& buffer : {whole, scattered}) {
          for (std::int64_t i = 0; i < buffer.count; ++i) {
            const double scale = (i + rank) % 3 == 0 ? 1e2 : 1e-2;
            testing::store(buffer, i, std::sin(static_cast<double>(i * 13 + rank * 7)) * scale);
          }
        }
        const Buffer part = part_of(scattered, rank * count, count);
        communicator_->all_reduce(whole, ReduceOp::average).wait();
        communicator_->reduce_scatter(scattered, part, ReduceOp::average).wait();
        EXPECT_EQ(std::memcmp(part.data, bytes_at(whole, rank * count), static_cast<std::size_t>(bytes_of(part))), 0)
            << count << " " << type_name(type) << (place == memory->data() ? ", direct" : ", foreign");
      }
    }
  }
}

// A bucket's size changes no bits: those of an element depend on the ranks alone.
TEST_P(CommunicatorTest, BitsDoNotDependOnTheLengthOfTheBuffer) {
  if (GetParam().name == "mpi") GTEST_SKIP() << "MPI promises nothing about the order of its additions";
  constexpr std::int64_t count = 200'003, piece = 1'237;
  std::vector<float> whole(count), pieces(count);
  for (std::int64_t i = 0; i < count; ++i) {
    const float scale = (i + communicator_->rank()) % 3 == 0 ? 1e4f : 1e-3f;
    whole[static_cast<std::size_t>(i)] = std::sin(static_cast<float>(i * 13 + communicator_->rank() * 7)) * scale;
  }
  pieces = whole;
  communicator_->all_reduce({whole.data(), count}, ReduceOp::average).wait();
  for (std::int64_t first = 0; first < count; first += piece) {
    communicator_->all_reduce({pieces.data() + first, std::min(piece, count - first)}, ReduceOp::average).wait();
  }
  EXPECT_EQ(std::memcmp(whole.data(), pieces.data(), count * 4), 0);
}

TEST_P(CommunicatorTest, ContradictoryArgumentsAreUsageErrors) {
  Communicator& c = *communicator_;
  std::vector<float> data(100);
  const auto expect_usage = [](auto call, const std::string& text) {
    try {
      call();
      ADD_FAILURE() << "no Failure: " << text;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      EXPECT_NE(failure.error().what.find(text), std::string::npos) << failure.what();
    }
  };
  std::vector<std::int64_t> whole(8);
  expect_usage([&] { c.all_reduce({data.data(), -3}, ReduceOp::sum).wait(); }, "count is negative: -3");
  expect_usage([&] { c.all_reduce({nullptr, 5}, ReduceOp::sum).wait(); }, "5 elements, but the buffer has no memory");
  expect_usage([&] { c.all_reduce({whole.data(), 8, DataType::int64}, ReduceOp::average).wait(); }, "average of int64");
  expect_usage([&] { c.broadcast({data.data(), 5}, c.size()).wait(); }, "the root is rank " + std::to_string(c.size()));
  expect_usage([&] { c.all_gather({data.data(), 3}, {data.data() + 10, 3 * c.size() + 1}).wait(); }, "the whole has");
  expect_usage(
      [&] {
        c.reduce_scatter({data.data(), 4 * c.size()}, {data.data() + 1, 4}, ReduceOp::sum).wait();
      },
      "overlap");
  expect_usage(
      [&] {
        c.all_gather({whole.data(), 1, DataType::int64}, {data.data(), c.size()}).wait();
      },
      "different types: float32 and int64");
  expect_usage([&] { c.allocate(-1); }, "size is negative: -1");
  c.barrier();  // and nothing has happened
}

INSTANTIATE_TEST_SUITE_P(Backends, CommunicatorTest,
                         ::testing::Values(Backend{"self"}, Backend{"mpi"}, Backend{"mpi", 0, "on"}, Backend{"shm"},
                                           Backend{"shm", 0, "on"}, Backend{"hierarchical"},
                                           Backend{"hierarchical", 0, "on"}, Backend{"hierarchical", 1},
                                           Backend{"hierarchical", 2}, Backend{"hierarchical", 3},
                                           Backend{"hierarchical", 3, "on"}, Backend{"hierarchical", 2, "on", true},
                                           Backend{"hierarchical", 3, "off", true}),
                         ::testing::PrintToStringParamName());

}  // namespace
}  // namespace lockstep
