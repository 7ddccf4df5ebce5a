// Memory: what is reported, and batches that do not fit on one of the ranks.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <memory>
#include <new>

#include "listed_batches.h"
#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/fused_adam.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/training/memory_report.h"
#include "lockstep/distributed/training/micro_batch_search.h"
#include "lockstep/distributed/training/train_step.h"
#include "shared_session.h"

namespace lockstep {
namespace {

using lockstep::testing::ListedBatches;
using lockstep::testing::session;

int ranks() { return session().world_size(); }

struct Net : torch::nn::Module {
  Net() {
    a = register_module("a", torch::nn::Linear(5, 64));
    norm = register_module("norm", torch::nn::BatchNorm1d(64));
    b = register_module("b", torch::nn::Linear(64, 3));
    auto generator = at::make_generator<at::CPUGeneratorImpl>(4711);
    for (auto& parameter : parameters()) parameter.detach().normal_(0, 0.5, generator);
  }
  torch::nn::Linear a{nullptr}, b{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
};

constexpr std::int64_t kTrainable = 5 * 64 + 64 + 2 * 64 + 64 * 3 + 3;

TEST(MemoryReport, AddsUpToTheSizesOfTheTensors) {
  for (const bool sharded : {false, true}) {
    Net net;
    net.b->bias.set_requires_grad(false);
    // Slots begin at cache lines, shards at cells of 1,024 values (optimizer/cell_sums.h).
    const std::int64_t padding = 8 * 64 + (sharded ? 1024 * ranks() : 0);
    DataParallel model(net, session().communicator(), {.shard_optimizer = sharded});
    FusedAdam optimizer(model, {});
    const MemoryUse use = measure_memory(net, model, optimizer);
    EXPECT_GE(use.weights, 4 * (kTrainable - 3));
    EXPECT_LE(use.weights, 4 * (kTrainable - 3 + padding));
    EXPECT_EQ(use.gradients, use.weights);
    EXPECT_EQ(use.frozen, 4 * 3 + 4 * 2 * 64 + 8);  // b.bias, running_mean, running_var, num_batches_tracked
    // Adam's two moments; of a shard, this rank's part. All shards together have all of it.
    const auto of_ranks = gather_memory(session().communicator(), session().device(), use);
    ASSERT_EQ(static_cast<int>(of_ranks.size()), ranks());
    std::int64_t state = 0;
    for (const auto& other : of_ranks) state += other.optimizer_state;
    if (!sharded) state /= ranks();
    EXPECT_GE(state, 2 * 4 * (kTrainable - 3));
    EXPECT_LE(state, 2 * 4 * (kTrainable - 3 + padding));
    EXPECT_EQ(of_ranks[static_cast<std::size_t>(session().rank())].resident, use.resident);
    EXPECT_GE(use.resident_peak, use.resident);
    EXPECT_GE(use.address_space_peak, use.resident_peak);
    EXPECT_EQ(use.device, 0);
  }
}

// Of a communicator of its own: the session's holds what other tests have given back.
TEST(MemoryReport, HasWhatTheCommunicatorHolds) {
  const auto communicator = session().another_communicator();
  const std::int64_t before = communicator->memory_bytes();
  EXPECT_EQ(before > 0, ranks() > 1) << before << ": staging and boards";
  Net net;
  DataParallel plain(net, *communicator);
  const MemoryUse use = measure_memory(net, plain, FusedSgd(plain, {}));
  // The flags of used parameters, one float each, are there too.
  EXPECT_GE(use.communicator, before);
  EXPECT_LE(use.communicator, before + 4096);
}

TEST(MemoryReport, CountsGradientsThatTravelInAnotherForm) {
  if (ranks() == 1) GTEST_SKIP() << "they do not travel";
  const auto communicator = session().another_communicator();
  const std::int64_t before = communicator->memory_bytes();
  Net net;
  DataParallel narrow(net, *communicator, {.reduction = reduce_in_16_bits(at::kBFloat16)});
  const MemoryUse use = measure_memory(net, narrow, FusedSgd(narrow, {}));
  EXPECT_GE(use.communicator, before + use.gradients / 2);
  EXPECT_LE(use.communicator, before + use.gradients / 2 + 4096);
}

TEST(MemoryReport, SeesMemoryThatIsTouched) {
  Net net;
  DataParallel model(net, session().communicator());
  FusedSgd optimizer(model, {});
  const MemoryUse before = measure_memory(net, model, optimizer);
  constexpr std::int64_t kBytes = std::int64_t{64} << 20;
  const at::Tensor large = at::randn({kBytes / 4});
  const MemoryUse after = measure_memory(net, model, optimizer);
  EXPECT_GE(after.resident_peak - before.resident, kBytes * 9 / 10);
  EXPECT_LE(after.resident - before.resident, kBytes * 2);
}

TEST(MicroBatchSearch, KnowsALackOfMemory) {
  EXPECT_EQ(bytes_missing(std::bad_alloc()), 0);
  EXPECT_FALSE(bytes_missing(std::runtime_error("sizes do not match")));
  try {
    at::randn({std::int64_t{1} << 50});
    ADD_FAILURE() << "a petabyte was allocated";
  } catch (const std::exception& e) {
    EXPECT_EQ(bytes_missing(e), std::int64_t{4} << 50) << e.what();
  }
}

struct Trained {
  std::vector<at::Tensor> values;
  std::vector<std::string> said;
  std::int64_t pieces = 0;
  double loss = 0;
};

// limit: samples at a time that fit on the last rank; the others take any number. Two steps.
Trained train(std::int64_t limit, bool search) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(815);
  const at::Tensor inputs = at::randn({30, 5}, generator), targets = at::randint(3, {30}, generator, at::kLong);
  ListedBatches source(inputs, targets, 15, session().rank(), ranks());
  Net net;
  net.norm->eval();  // its statistics would be those of a piece
  DataParallel model(net, session().communicator());
  FusedSgd optimizer(model, {.learning_rate = 0.1, .momentum = 0.9});
  LossMeter meter;
  Trained trained;
  TrainStep step({.forward =
                      [&](const at::Tensor& x) {
                        const at::Tensor hidden = net.norm(net.a(x).tanh());
                        if (session().rank() == ranks() - 1 && x.size(0) > limit) throw std::bad_alloc();
                        return net.b(hidden);
                      },
                  .model = model,
                  .optimizer = optimizer,
                  .source = source,
                  .meter = meter,
                  .device = session().device(),
                  .search_pieces = search,
                  .buffers = net.buffers(),
                  .say = [&](const std::string& line) { trained.said.push_back(line); }});
  for (std::int64_t i = 1; i <= 2; ++i) EXPECT_EQ(step(i).global_samples, 15);
  for (const auto& parameter : net.parameters()) trained.values.push_back(parameter.detach().clone());
  trained.pieces = step.pieces();
  trained.loss = meter.sums().loss;
  return trained;
}

TEST(MicroBatchSearch, HalvesUntilItFitsEverywhere) {
  const std::int64_t local = 15 / ranks();  // of the last rank
  const Trained plain = train(100, false), fits = train(100, true), halved = train((local + 1) / 2, true);
  EXPECT_EQ(plain.pieces, 1);
  EXPECT_EQ(fits.pieces, 1);
  EXPECT_TRUE(fits.said.empty());
  EXPECT_EQ(halved.pieces, 2);
  ASSERT_EQ(halved.said.size(), 1u);
  EXPECT_NE(halved.said[0].find("rank " + std::to_string(ranks() - 1)), std::string::npos) << halved.said[0];
  EXPECT_NEAR(halved.loss, plain.loss, 1e-4);
  for (std::size_t i = 0; i < plain.values.size(); ++i) {
    EXPECT_TRUE(at::equal(fits.values[i], plain.values[i])) << i;
    EXPECT_TRUE(at::allclose(halved.values[i], plain.values[i], 1e-5, 1e-6)) << i;
  }
  const Trained single = train(1, true);
  EXPECT_GE(single.pieces, local);
  EXPECT_TRUE(at::allclose(single.values[0], plain.values[0], 1e-5, 1e-6));
}

TEST(MicroBatchSearch, OneSampleThatDoesNotFitIsAnErrorOnAllRanks) {
  try {
    train(0, true);
    ADD_FAILURE() << "it trained";
  } catch (const AgreedFailure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::environment);
    EXPECT_NE(failure.error().what.find("1 sample at a time"), std::string::npos) << failure.error().what;
    EXPECT_EQ(failure.reports(), session().rank() == 0);
  }
}

}  // namespace
}  // namespace lockstep
