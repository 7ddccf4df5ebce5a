// Every optimizer on as many ranks as mpirun started, against one rank that sees the whole global batch.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/nn/modules/linear.h>

#include <cstdlib>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/optimizer/gradient_norm.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"
#include "lockstep/distributed/optimizer/weight_average.h"

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

struct How {
  bool sharded = false;
  at::ScalarType type = at::kFloat;
  bool by_operators = false;
  double clip_norm = 0;  // 0: no clipping
};

// A training that can be saved, and continued by another.
struct Training {
  Training(Communicator& communicator, const std::string& name, How chosen)
      : how(chosen),
        comm(communicator),
        parallel((net.to(chosen.type), net), communicator,
                 {.bucket_bytes = 4096, .first_bucket_bytes = 1024, .shard_optimizer = chosen.sharded}),
        optimizer(
            testing::optimizer_by_name(parallel, name, testing::parse_values("learning_rate=0.02,weight_decay=0.01"))),
        average(parallel, {.decay = 0.9}) {
    if (how.by_operators) optimizer->use_operators();
  }

  void steps(int from, int to) {
    for (int step = from; step < to; ++step) {
      auto generator = at::make_generator<at::CPUGeneratorImpl>(1000 + step);
      const auto input = at::randn({kSamples, 6}, generator), target = at::randn({kSamples, 4}, generator);
      const auto mine = [&](const at::Tensor& all) {
        return all.slice(0, comm.rank(), kSamples, comm.size()).to(how.type);
      };
      parallel.zero_grad();
      at::mse_loss(net.forward(mine(input), step % 5 != 2), mine(target)).backward();
      if (how.clip_norm > 0) {
        const auto clipped = clip_gradients(parallel, how.clip_norm);
        norms.push_back(clipped.norm.item<double>());
        optimizer->step(clipped.scale);
      } else {
        optimizer->step();
      }
      average.update();
    }
  }

  std::vector<at::Tensor> values() const {
    std::vector<at::Tensor> values;
    for (const auto& parameter : net.parameters()) values.push_back(parameter.detach().clone());
    return values;
  }

  const How how;
  Communicator& comm;
  Net net;
  DataParallel parallel;
  std::unique_ptr<Optimizer> optimizer;
  WeightAverage average;
  std::vector<double> norms;
};

std::vector<at::Tensor> train(Communicator& communicator, const std::string& name, How how = {}) {
  Training training(communicator, name, how);
  training.steps(0, kSteps);
  return training.values();
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

void expect_equal(const std::vector<at::Tensor>& found, const std::vector<at::Tensor>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    EXPECT_TRUE(at::equal(found[i], expected[i]))
        << i << ": " << (found[i] - expected[i]).abs().max().item<double>();
}

TEST_P(OptimizerRanks, ShardedIsUnshardedBitForBit) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  expect_equal(train(*communicator, GetParam(), {.sharded = true}), train(*communicator, GetParam()));
  const How clipped{.sharded = false, .clip_norm = 0.05}, both{.sharded = true, .clip_norm = 0.05};
  Training whole(*communicator, GetParam(), clipped), shards(*communicator, GetParam(), both);
  whole.steps(0, 8);
  shards.steps(0, 8);
  expect_equal(shards.values(), whole.values());
  EXPECT_EQ(shards.norms, whole.norms);
  const auto a = whole.average.swap(), b = shards.average.swap();
  expect_equal(shards.values(), whole.values());
}

TEST_P(OptimizerRanks, ShardedByOperatorsIsNearlyTheSame) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  const auto found = train(*communicator, GetParam(), {.sharded = true, .by_operators = true}),
             expected = train(*communicator, GetParam());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::allclose(found[i], expected[i], 1e-4, 2e-5)) << i;
}

// 16-bit parameters are the rounded float32 ones that the optimizer keeps, sharded or not.
TEST_P(OptimizerRanks, SixteenBitParametersHaveFloat32Masters) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  const How half{.type = at::kBFloat16}, half_sharded{.sharded = true, .type = at::kBFloat16};
  Training whole(*communicator, GetParam(), half), shards(*communicator, GetParam(), half_sharded);
  whole.steps(0, kSteps);
  shards.steps(0, kSteps);
  expect_equal(shards.values(), whole.values());
  const auto exact = train(*communicator, GetParam());
  std::size_t masters = 0;
  for (const auto& [name, values] : whole.optimizer->state()) {
    if (name.rfind("master.", 0) != 0) continue;
    const auto now = whole.values()[masters], before = exact[masters];
    ++masters;
    EXPECT_EQ(values.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(values.to(at::kBFloat16), now)) << name;
    EXPECT_FALSE(at::equal(values, now.to(at::kFloat))) << name << ": the master is no finer than the parameter";
    EXPECT_TRUE(at::allclose(values, before, 0.1, 0.1)) << name;
  }
  EXPECT_EQ(masters, exact.size());
  whole.net.last->bias.detach().fill_(3);  // by other means than the optimizer
  whole.parallel.zero_grad();
  whole.net.last->bias.sum().backward();
  whole.optimizer->set_learning_rate(0);
  whole.optimizer->step();
  EXPECT_TRUE(at::equal(whole.net.last->bias, at::full({4}, 3, at::kBFloat16)));
}

// Saved by one, continued by the other, in both directions.
TEST_P(OptimizerRanks, StateDoesNotDependOnSharding) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  for (const bool from_sharded : {false, true}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      Training first(*communicator, GetParam(), {.sharded = from_sharded, .type = type});
      Training second(*communicator, GetParam(), {.sharded = !from_sharded, .type = type});
      first.steps(0, 9);
      NamedTensors saved = first.optimizer->state(), average = first.average.state();
      saved.insert(saved.end(), average.begin(), average.end());
      NamedTensors form = second.optimizer->state_form(), average_form = second.average.state_form();
      form.insert(form.end(), average_form.begin(), average_form.end());
      ASSERT_EQ(form.size(), saved.size());
      for (std::size_t i = 0; i < saved.size(); ++i) {
        auto& [name, values] = saved[i];
        EXPECT_EQ(name, form[i].first);
        if (communicator->rank() != 0 && from_sharded && name != "steps" && name != "ema.updates") {
          EXPECT_TRUE(communicator->size() == 1 || !values.defined());
          values = at::empty(form[i].second.sizes(), form[i].second.scalar_type());
        }
        EXPECT_EQ(values.sizes(), form[i].second.sizes());
        EXPECT_EQ(values.scalar_type(), form[i].second.scalar_type());
        values = values.contiguous().clone();
        communicator->broadcast({values.data_ptr(), static_cast<std::int64_t>(values.nbytes() / 8 * 8 / 2),
                                 DataType::bfloat16}, 0).wait();
        if (values.nbytes() % 8 != 0) {  // whatever is left of it
          auto* const rest = static_cast<char*>(values.data_ptr()) + values.nbytes() / 8 * 8;
          communicator->broadcast({rest, static_cast<std::int64_t>(values.nbytes() % 8 / 2), DataType::bfloat16}, 0).wait();
        }
      }
      const auto parameters = first.values();
      for (std::size_t i = 0; i < parameters.size(); ++i) second.net.parameters()[i].detach().copy_(parameters[i]);
      second.optimizer->load_state(saved);
      second.average.load_state(saved);
      first.steps(9, 15);
      second.steps(9, 15);
      expect_equal(second.values(), first.values());
      const auto a = first.average.swap(), b = second.average.swap();
      expect_equal(second.values(), first.values());
    }
  }
}

TEST(Sharding, DividesTheStateByTheRanks) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  torch::nn::Linear net(256, 1024);
  const auto bytes = [&](bool sharded) {
    DataParallel parallel(*net, *communicator, {.shard_optimizer = sharded});
    return FusedAdam(parallel, {}).state_bytes();
  };
  EXPECT_LE(std::abs(bytes(true) * communicator->size() - bytes(false)), 2 * 4 * kShardUnit * communicator->size());
}

TEST(Sharding, RefusesABackwardOntoSynchronisedGradients) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  if (communicator->size() == 1) GTEST_SKIP() << "one rank, one shard";
  Net net;
  DataParallel parallel(net, *communicator, {.shard_optimizer = true});
  const auto backward = [&] { net.forward(at::ones({1, 6}), true).sum().backward(); };
  parallel.zero_grad();
  {
    const auto only_add = parallel.no_sync();
    backward();
  }
  backward();
  try {
    backward();
    ADD_FAILURE() << "was accepted";
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().what.find("which was synchronised before"), std::string::npos) << failure.error().what;
    EXPECT_NE(failure.error().hint.find("zero_grad()"), std::string::npos);
  }
}

// By hand as torch's optimizers do it, or through the module: the next backward is as good as after our zero_grad().
TEST(Sharding, AcceptsGradientsThatWereZeroedByHand) {
  const auto communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  for (const bool set_to_none : {false, true}) {
    std::vector<at::Tensor> results[2];
    for (const bool sharded : {false, true}) {
      Net net;
      DataParallel parallel(net, *communicator, {.shard_optimizer = sharded});
      FusedSgd optimizer(parallel, {.learning_rate = 0.1});
      for (int step = 0; step < 4; ++step) {
        net.zero_grad(set_to_none);
        net.forward(at::full({1, 6}, communicator->rank() + step, at::kFloat), true).square().sum().backward();
        optimizer.step();
      }
      for (const auto& parameter : net.parameters()) results[sharded].push_back(parameter.detach().clone());
    }
    expect_equal(results[1], results[0]);
  }
}

}  // namespace
}  // namespace lockstep
