// Buckets planned from a first backward, on as many ranks as mpirun started.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <random>
#include <stdexcept>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/gradients/backward_probe.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/gradients/plan_from_probe.h"
#include "lockstep/distributed/layers/sync_batch_norm.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/optimizer/gradient_norm.h"

namespace lockstep {
namespace {

using torch::nn::Linear;

// Registered in another order than it is used in, with a parameter that is never used.
template <typename Norm>
struct Net : torch::nn::Module {
  explicit Net(Norm norm_layer) : norm(std::move(norm_layer)) {
    register_module("last", last);
    register_module("first", first);
    register_module("norm", norm);
    unused = register_parameter("unused", at::ones({3}));
    register_module("middle", middle);
    auto generator = at::make_generator<at::CPUGeneratorImpl>(31);
    for (auto& parameter : parameters()) parameter.detach().normal_(0, 0.3, generator);
  }
  at::Tensor forward(const at::Tensor& x) { return last(middle(at::dropout(norm(first(x)).tanh(), 0.1, true)).tanh()); }
  Linear first{40, 60}, middle{60, 50}, last{50, 4};
  Norm norm;
  at::Tensor unused;
};

Net<torch::nn::BatchNorm1d> plain_net() { return Net(torch::nn::BatchNorm1d(60)); }

// "last last middle middle norm norm first first unused": layers by number of parameter, as they are registered.
std::vector<std::string> layers_in(const torch::nn::Module& module, const std::vector<int>& order) {
  const auto named = module.named_parameters();
  std::vector<std::string> layers;
  for (const int parameter : order) {
    const std::string name = named[static_cast<std::size_t>(parameter)].key();
    layers.push_back(name.substr(0, name.find('.')));
  }
  return layers;
}
const std::vector<std::string> kBackwards = {"last", "last",  "middle", "middle", "norm",
                                             "norm", "first", "first",  "unused"};

class BackwardProbeRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    int pid = static_cast<int>(::getpid());
    MPI_Bcast(&pid, 1, MPI_INT, 0, MPI_COMM_WORLD);
    cache_ = std::filesystem::temp_directory_path() / ("backward_probe_rank_test." + std::to_string(pid));
    ::setenv("LOCKSTEP_CACHE", cache_.c_str(), 1);
  }
  void TearDown() override {
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank() == 0) std::filesystem::remove_all(cache_);
  }
  int rank() const { return communicator_->rank(); }
  int ranks() const { return communicator_->size(); }

  // Ranks see different samples, and may see any number of them.
  template <typename Module>
  void backward(Module& module, std::int64_t samples = 2) const {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(100 + rank());
    module.forward(at::randn({samples, 40}, generator)).sum().backward();
  }

  bool equal_on_all_ranks(const std::vector<int>& values) {
    std::int64_t hash = 17;
    for (const int value : values) hash = hash * 31 + value;
    const auto all = gather_values(*communicator_, at::kCPU, hash);
    return std::count(all.begin(), all.end(), all[0]) == ranks();
  }

  std::filesystem::path cache_;
  std::unique_ptr<Communicator> communicator_ = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
};

TEST_F(BackwardProbeRanks, SeesTheOrderOfBackward) {
  auto net = plain_net();
  for (const int passes : {1, 2}) {
    const auto probe = probe_backward(
        net, *communicator_, [&] { backward(net); }, passes);
    EXPECT_EQ(probe.failure, "");
    EXPECT_EQ(layers_in(net, probe.order.order), kBackwards);
    EXPECT_TRUE(std::is_sorted(probe.order.seconds.begin(), probe.order.seconds.end()));
    EXPECT_EQ(probe.order.seconds.size(), probe.order.order.size());
    EXPECT_EQ(probe.order.seconds.front(), 0);
    EXPECT_GT(probe.order.seconds.back(), 0);
    EXPECT_TRUE(equal_on_all_ranks(probe.order.order));
  }
}

TEST_F(BackwardProbeRanks, LeavesEverythingAsItWas) {
  auto net = plain_net();
  net.first->weight.mutable_grad() = at::ones_like(net.first->weight);
  auto generator = at::detail::getDefaultCPUGenerator();
  const auto expected_random = at::rand({4}, generator.clone());
  std::vector<at::Tensor> before;
  for (const auto& tensor : net.parameters()) before.push_back(tensor.detach().clone());
  for (const auto& tensor : net.buffers()) before.push_back(tensor.clone());
  for (const bool fails : {false, true}) {
    probe_backward(net, *communicator_, [&] {
      backward(net);
      if (fails) throw std::runtime_error("no memory");
    });
    auto after = net.parameters();
    for (const auto& tensor : net.buffers()) after.push_back(tensor);
    for (std::size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(at::equal(after[i], before[i])) << i;
    EXPECT_TRUE(at::equal(net.first->weight.grad(), at::ones_like(net.first->weight)));
    EXPECT_FALSE(net.last->weight.grad().defined());
    EXPECT_TRUE(at::equal(at::rand({4}, generator.clone()), expected_random));
  }
  net.first->weight.mutable_grad().reset();
  EXPECT_NO_THROW(DataParallel(net, *communicator_)) << "a hook is left";
}

TEST_F(BackwardProbeRanks, AFailureOnOneRankIsKnownToAll) {
  auto net = plain_net();
  const int culprit = ranks() - 1;
  const auto fails = [&] {
    backward(net);
    if (rank() == culprit) throw std::runtime_error("one sample too many\nat frame 1");
  };
  const auto probe = probe_backward(net, *communicator_, fails);
  EXPECT_EQ(probe.failure, "one sample too many on rank " + std::to_string(culprit));
  EXPECT_TRUE(probe.order.order.empty());
  if (ranks() == 1) return;
  const auto probed = plan_from_probe(net, *communicator_, {.backward = fails});
  EXPECT_EQ(probed.origin, "buckets by size, as the first backward could not be tried: " + probe.failure);
  DataParallel model(net, *communicator_, {.layout = probed.layout});
  EXPECT_EQ(model.plan().hash, plan_buckets(model.parameters(), {}).hash);
}

TEST_F(BackwardProbeRanks, LayersMayCommunicateAndRanksMayHaveNoSamples) {
  const auto of_layers = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  Net net(SyncBatchNorm1d(60, *of_layers));
  const auto probe = probe_backward(
      net, *communicator_, [&] { backward(net, rank() == 0 ? 3 : rank() - 1); }, 2, true);
  EXPECT_EQ(probe.failure, "");
  EXPECT_EQ(layers_in(net, probe.order.order), kBackwards);
}

TEST_F(BackwardProbeRanks, NoGradientsAtAllMeanTheUsualOrder) {
  auto net = plain_net();
  const auto probe = probe_backward(net, *communicator_, [] {});
  std::vector<int> reversed(net.parameters().size());
  std::iota(reversed.rbegin(), reversed.rend(), 0);
  EXPECT_EQ(probe.order.order, reversed);
}

TEST_F(BackwardProbeRanks, AModuleThatIsTrainedAlreadyIsRefused) {
  auto net = plain_net();
  DataParallel model(net, *communicator_);
  EXPECT_THROW(probe_backward(net, *communicator_, [&] { backward(net); }), Failure);
}

TEST_F(BackwardProbeRanks, ThePlanIsEqualOnAllRanksAndItsCostIsKept) {
  auto net = plain_net();
  const ProbeOptions options{.backward = [&] { backward(net); }, .time_factor = 8, .measure_seconds = 10};
  const auto first = plan_from_probe(net, *communicator_, options);
  if (ranks() == 1) {
    EXPECT_TRUE(first.layout.order.empty());
    return;
  }
  EXPECT_NE(first.origin.find("(measured) and the order of the first backward"), std::string::npos) << first.origin;
  const auto second = plan_from_probe(net, *communicator_, options);
  EXPECT_NE(second.origin.find("(cached)"), std::string::npos) << second.origin;
  EXPECT_EQ(layers_in(net, second.layout.order), kBackwards);
  EXPECT_TRUE(equal_on_all_ranks(second.layout.ends));
  ASSERT_FALSE(second.layout.ends.empty());
  EXPECT_EQ(second.layout.ends.back(), static_cast<int>(net.parameters().size()));
  DataParallel model(net, *communicator_, {.layout = second.layout});  // compares the plans
  EXPECT_EQ(model.plan().buckets.size(), second.layout.ends.size());
  const auto unmeasured = plan_from_probe(plain_net(), *communicator_, {.backward = [] {}, .measure_seconds = 0});
  EXPECT_TRUE(unmeasured.layout.ends.empty());
}

// On one node the partition must not show in the numbers.
TEST_F(BackwardProbeRanks, WeightsAreEqualInEveryBitWhateverThePartition) {
  std::mt19937 random(5);
  const int count = static_cast<int>(plain_net().parameters().size());
  std::vector<BucketLayout> layouts = {{}, {.ends = {count}}};
  BucketLayout single;
  for (int i = 1; i <= count; ++i) single.ends.push_back(i);
  layouts.push_back(single);
  for (int i = 0; i < 3; ++i) {
    BucketLayout shuffled{.order = std::vector<int>(static_cast<std::size_t>(count)), .ends = {1 + i, 5, count}};
    std::iota(shuffled.order.begin(), shuffled.order.end(), 0);
    std::shuffle(shuffled.order.begin(), shuffled.order.end(), random);
    layouts.push_back(shuffled);
  }
  std::vector<at::Tensor> expected;
  for (const bool sharded : {false, true}) {
    for (const auto& layout : layouts) {
      auto of_dropout = at::detail::getDefaultCPUGenerator();
      of_dropout.set_current_seed(9);
      auto net = plain_net();
      DataParallel model(net, *communicator_, {.shard_optimizer = sharded, .layout = layout});
      FusedSgd optimizer(model, {.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 1e-3});
      auto generator = at::make_generator<at::CPUGeneratorImpl>(200 + rank());
      for (int step = 0; step < 30; ++step) {
        model.zero_grad();
        net.forward(at::randn({4, 40}, generator)).square().sum().backward();
        optimizer.step(clip_gradients(model, 0.5).scale);
      }
      if (expected.empty()) {
        for (const auto& tensor : net.parameters()) expected.push_back(tensor.detach().clone());
        continue;
      }
      for (std::size_t i = 0; i < expected.size(); ++i)
        EXPECT_TRUE(at::equal(net.parameters()[i], expected[i])) << i << ", sharded " << sharded;
    }
  }
}

}  // namespace
}  // namespace lockstep
