// Every optimizer on as many ranks as mpirun started, against one rank that sees the whole global batch.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/nn/modules/linear.h>

#include <cstring>

#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"

namespace lockstep {
namespace {

constexpr std::int64_t kSamples = 8;  // of all ranks together
constexpr int kSteps = 30;

struct Net : torch::nn::Module {
  Net() {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
    for (auto& parameter : parameters()) parameter.detach().normal_(0, 0.3, generator);
  }
  at::Tensor forward(const at::Tensor& x, bool use_middle) {
    auto hidden = first(x).tanh();
    if (use_middle) hidden = middle(hidden).tanh();
    return last(hidden);
  }
  torch::nn::Linear first{register_module("first", torch::nn::Linear(6, 70))};
  torch::nn::Linear middle{register_module("middle", torch::nn::Linear(70, 70))};
  torch::nn::Linear last{register_module("last", torch::nn::Linear(70, 4))};
};

std::vector<at::Tensor> train(Communicator& communicator, const std::string& name) {
  Net net;
  DataParallel parallel(net, communicator, {.bucket_bytes = 4096, .first_bucket_bytes = 1024});
  const auto optimizer =
      testing::optimizer_by_name(parallel, name, testing::parse_values("learning_rate=0.02,weight_decay=0.01"));
  for (int step = 0; step < kSteps; ++step) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(1000 + step);
    const auto input = at::randn({kSamples, 6}, generator), target = at::randn({kSamples, 4}, generator);
    const auto mine = [&](const at::Tensor& all) {
      return all.slice(0, communicator.rank(), kSamples, communicator.size());
    };
    parallel.zero_grad();
    at::mse_loss(net.forward(mine(input), step % 5 != 2), mine(target)).backward();
    optimizer->step();
  }
  std::vector<at::Tensor> values;
  for (const auto& parameter : net.parameters()) values.push_back(parameter.detach().clone());
  return values;
}

// Of the bits of all values, in order.
std::int64_t fingerprint(const std::vector<at::Tensor>& values) {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const auto& tensor : values) {
    const auto* bytes = static_cast<const unsigned char*>(tensor.const_data_ptr());
    for (std::size_t i = 0; i < tensor.nbytes(); ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
  }
  return static_cast<std::int64_t>(hash);
}

class OptimizerRanks : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, OptimizerRanks, ::testing::Values("sgd", "adam", "adamw", "lamb", "lars", "muon"),
                         [](const auto& name) { return name.param; });

TEST_P(OptimizerRanks, AllRanksEndWithWhatOneWouldHave) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  SelfCommunicator self;
  const auto found = train(*communicator, GetParam()), expected = train(self, GetParam());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 2e-5))
        << i << ": " << (found[i] - expected[i]).abs().max().item<double>();
  const auto prints = gather_values(*communicator, at::kCPU, fingerprint(found));
  for (const auto print : prints) EXPECT_EQ(print, prints[0]);
}

}  // namespace
}  // namespace lockstep
