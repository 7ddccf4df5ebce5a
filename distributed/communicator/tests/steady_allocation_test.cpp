// A training step must not allocate in its collectives: the operations are pooled.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <vector>

#include "thread_node.h"

namespace {
thread_local long allocations = 0;
}

void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace lockstep {
namespace {

TEST(SteadyState, AllReduceAllocatesNothing) {
  testing::run_as_ranks(3, [](Communicator& c) {
    constexpr std::int64_t count = 4000;
    const auto memory = c.allocate(2 * count * 4);
    auto* const direct = static_cast<float*>(memory->data());
    std::vector<float> foreign(count);
    const auto step = [&] {
      Work first = c.all_reduce({direct, count}, ReduceOp::average);
      Work second = c.all_reduce({direct + count, count}, ReduceOp::average);
      Work third = c.all_reduce({foreign.data(), count}, ReduceOp::sum);
      Work small = c.all_reduce({foreign.data(), 10}, ReduceOp::max);
      first.wait();
      second.wait();
      third.wait();
      small.wait();
    };
    for (int i = 0; i < 5; ++i) step();
    const long before = allocations;
    for (int i = 0; i < 50; ++i) step();
    EXPECT_EQ(allocations - before, 0);
  });
}

}  // namespace
}  // namespace lockstep
