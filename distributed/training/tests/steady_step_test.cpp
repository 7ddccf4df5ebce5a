// What a long training may not do: ask for memory in every step beyond what LibTorch's own operations do, or keep some.
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/nn/modules/linear.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <vector>

#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/optimizer/tests/allocation_count.h"

namespace lockstep {
namespace {

struct Net : torch::nn::Module {
  torch::nn::Linear first{register_module("first", torch::nn::Linear(20, 30))};
  torch::nn::Linear second{register_module("second", torch::nn::Linear(30, 5))};
  const at::Tensor input = at::randn({4, 20}), target = at::randint(5, {4}, at::kLong);

  void backward() { at::cross_entropy_loss(second(first(input).relu()), target).backward(); }
};

// A training of this rank, which no others may disturb: buckets of two parameters, so that there are several.
struct Training {
  Net net;
  std::unique_ptr<Communicator> communicator = make_communicator(MPI_COMM_WORLD, {});
  DataParallel model{net, *communicator, {.bucket_bytes = 1000, .first_bucket_bytes = 100}};
  FusedSgd optimizer{model, {.learning_rate = 0.01, .momentum = 0.9}};

  void step() {
    model.zero_grad();
    net.backward();
    optimizer.step();
  }
};

// What LibTorch allocates in forward and backward: the same in every step. Its list of callbacks for the end of
// backward counts as its own, and a callback has to be in it.
int allocations_of_libtorch() {
  struct Callback : torch::autograd::PostAccumulateGradHook {
    void operator()(const at::Tensor&) override {
      torch::autograd::Engine::get_default_engine().queue_callback([] {});
    }
  };
  Net net;
  torch::autograd::impl::set_post_acc_grad_hooks(net.first->weight, std::make_unique<Callback>());
  const auto parameters = net.parameters();
  const auto step = [&] {
    for (const auto& parameter : parameters) parameter.mutable_grad().reset();
    net.backward();
  };
  for (int i = 0; i < 5; ++i) step();
  return testing::allocations_in(step);
}

TEST(SteadyStep, AllocatesNoMoreThanItsForwardAndBackward) {
  at::set_num_threads(1);
  const int without_us = allocations_of_libtorch();
  ASSERT_GT(without_us, 0) << "operator new is not counted";
  Training training;
  ASSERT_GE(training.model.plan().buckets.size(), 2u);
  for (int i = 0; i < 5; ++i) training.step();
  for (int i = 0; i < 20; ++i) {
    EXPECT_LE(testing::allocations_in([&] { training.step(); }), without_us) << "in step " << i;
  }
}

// Bytes of this process that no file and nobody else has a part in.
std::int64_t anonymous_bytes() {
  std::int64_t pages = 0, resident = 0, shared = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident >> shared;
  return (resident - shared) * sysconf(_SC_PAGESIZE);
}

constexpr int kSteps = 5000;                    // benchmarks/measure/steady.py makes more
constexpr std::int64_t kAllowed = 20 * kSteps;  // bytes; a block of 32 per step is more

TEST(SteadyStep, KeepsNoMemoryOverManySteps) {
  at::set_num_threads(1);
  Training training;
  for (int i = 0; i < 1000; ++i) training.step();
  const std::int64_t before = anonymous_bytes();
  for (int i = 0; i < kSteps; ++i) training.step();
  EXPECT_LT(anonymous_bytes() - before, kAllowed);

  // That the measure sees the smallest leak.
  const std::int64_t before_leak = anonymous_bytes();
  std::vector<std::unique_ptr<char[]>> kept;
  kept.reserve(kSteps);
  for (int i = 0; i < kSteps; ++i) kept.push_back(std::make_unique<char[]>(32));
  EXPECT_GT(anonymous_bytes() - before_leak, kAllowed);
}

}  // namespace
}  // namespace lockstep
