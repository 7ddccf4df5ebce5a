// DataParallel and FusedSgd on as many ranks as mpirun started, against one rank that sees the whole global batch.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mse_loss.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/nn/modules/linear.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/communicator/tests/real_nodes.h"
#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"

namespace lockstep {
namespace {

using torch::nn::Linear;

struct Net : torch::nn::Module {
  explicit Net(std::uint64_t seed) {
    a = register_module("a", Linear(6, 19));
    b = register_module("b", Linear(19, 19));
    c = register_module("c", Linear(19, 4));
    auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    for (auto& parameter : parameters()) parameter.detach().normal_(0, 0.4, generator);
  }
  at::Tensor forward(const at::Tensor& x, bool use_b = true) {
    auto hidden = a(x).tanh();
    if (use_b) hidden = b(hidden).tanh();
    return c(hidden);
  }
  Linear a{nullptr}, b{nullptr}, c{nullptr};
};

struct Samples {
  at::Tensor input, target;
};

// The global batch of a step: the same on every rank.
Samples global_batch(int step, std::int64_t count) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(1000 + step);
  return {at::randn({count, 6}, generator), at::randn({count, 4}, generator)};
}

// Rank r of n sees rows r, r + n, ...; may be empty.
Samples share_of(const Samples& batch, int rank, int ranks) {
  const auto count = batch.input.size(0);
  const auto from = std::min<std::int64_t>(rank, count);
  return {batch.input.slice(0, from, count, ranks), batch.target.slice(0, from, count, ranks)};
}

class DataParallelRanks : public ::testing::Test {
 protected:
  int rank() const { return communicator_->rank(); }
  int ranks() const { return communicator_->size(); }

  // 100 steps of momentum SGD; the mean over the ranks of the losses weighted so is the loss's mean over the samples.
  std::vector<at::Tensor> train(Communicator& communicator, DataParallelOptions options, std::int64_t samples,
                                int steps = 100) {
    Net net(77);
    DataParallel parallel(net, communicator, options);
    FusedSgd optimizer(parallel, {.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 1e-3});
    for (int step = 0; step < steps; ++step) {
      parallel.zero_grad();
      const auto share = share_of(global_batch(step, samples), communicator.rank(), communicator.size());
      if (const auto count = share.input.size(0); count > 0) {
        const double weight = static_cast<double>(count * communicator.size()) / static_cast<double>(samples);
        (at::mse_loss(net.forward(share.input), share.target) * weight).backward();
      }
      parallel.synchronize();
      optimizer.step();
    }
    std::vector<at::Tensor> values;
    for (const auto& parameter : net.parameters()) values.push_back(parameter.detach().clone());
    return values;
  }

  // Whether all ranks hold these bits.
  bool equal_on_all_ranks(const at::Tensor& tensor) {
    const auto values = tensor.contiguous();
    std::uint64_t hash = 0xcbf29ce484222325;
    const auto* bytes = static_cast<const unsigned char*>(values.const_data_ptr());
    for (std::size_t i = 0; i < values.nbytes(); ++i) hash = (hash ^ bytes[i]) * 0x100000001b3;
    const auto all = gather_values(*communicator_, at::kCPU, static_cast<std::int64_t>(hash));
    return std::count(all.begin(), all.end(), all[0]) == ranks();
  }

  std::string refusal(torch::nn::Module& module, DataParallelOptions options = {}) {
    try {
      const DataParallel parallel(module, *communicator_, options);
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      return failure.error().what;
    }
    return "accepted";
  }

  std::unique_ptr<Communicator> communicator_ = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  SelfCommunicator self_;
};

double largest_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto scale = a[i].abs().max().item<double>();
    largest = std::max(largest, (a[i] - b[i]).abs().max().item<double>() / scale);
  }
  return largest;
}

TEST_F(DataParallelRanks, ManyRanksTrainAsOneOnTheSameGlobalBatch) {
  const auto here = train(*communicator_, {}, 16);
  EXPECT_LE(largest_difference(here, train(self_, {}, 16)), 1e-5);
  for (const auto& values : here) EXPECT_TRUE(equal_on_all_ranks(values));
}

TEST_F(DataParallelRanks, UnevenAndEmptySharesTrainAsOne) {
  for (const std::int64_t samples : {13, 3, 1}) {
    EXPECT_LE(largest_difference(train(*communicator_, {}, samples, 20), train(self_, {}, samples, 20)), 1e-5)
        << samples;
  }
}

TEST_F(DataParallelRanks, RepeatsAreEqualInEveryBit) {
  const auto first = train(*communicator_, {.bucket_bytes = 700, .first_bucket_bytes = 300}, 8, 40);
  const auto again = train(*communicator_, {.bucket_bytes = 700, .first_bucket_bytes = 300}, 8, 40);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], again[i])) << i;
}

TEST_F(DataParallelRanks, BucketLimitsChangeRoundingAtMost) {
  const auto expected = train(*communicator_, {}, 8, 30);
  for (const std::int64_t limit : {1, 64, 1000, 1 << 30}) {
    const auto values = train(*communicator_, {.bucket_bytes = limit, .first_bucket_bytes = limit}, 8, 30);
    EXPECT_LE(largest_difference(values, expected), 1e-5) << limit;
  }
}

TEST_F(DataParallelRanks, GradientsAreTheMeanAndEqualEverywhere) {
  Net net(5);
  DataParallel parallel(net, *communicator_, {.bucket_bytes = 400, .first_bucket_bytes = 1});
  std::vector<at::Tensor> expected;
  for (int r = 0; r < ranks(); ++r) {
    Net other(5);
    const auto batch = global_batch(r, 3);
    at::mse_loss(other.forward(batch.input), batch.target).backward();
    for (std::size_t i = 0; i < other.parameters().size(); ++i) {
      const auto part = other.parameters()[i].grad() / ranks();
      if (r == 0)
        expected.push_back(part);
      else
        expected[i] += part;
    }
  }
  parallel.zero_grad();
  const auto batch = global_batch(rank(), 3);
  at::mse_loss(net.forward(batch.input), batch.target).backward();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto gradient = net.parameters()[i].grad();
    EXPECT_TRUE(at::allclose(gradient, expected[i], 1e-5, 1e-7)) << i;
    EXPECT_TRUE(equal_on_all_ranks(gradient)) << i;
  }
  EXPECT_EQ(parallel.last_sync().bytes, ranks() == 1 ? 0 : parallel.plan().total_count * 4);
}

TEST_F(DataParallelRanks, MicroBatchesUnderNoSyncCountOnce) {
  Net net(5);
  DataParallel parallel(net, *communicator_);
  const auto run = [&](int micro_batches) {
    const auto share = global_batch(rank(), 6);
    parallel.zero_grad();
    for (int m = 0; m < micro_batches; ++m) {
      const auto part = share_of(share, m, micro_batches);
      const auto backward = [&] { (at::mse_loss(net.forward(part.input), part.target) / micro_batches).backward(); };
      if (m + 1 < micro_batches) {
        const auto pause = parallel.no_sync();
        backward();
      } else {
        backward();
      }
    }
    return parallel.flat_gradients().narrow(0, 0, parallel.plan().total_count).clone();
  };
  EXPECT_TRUE(at::allclose(run(3), run(1), 1e-5, 1e-7));
}

TEST_F(DataParallelRanks, ParametersThatSomeOrNoRanksUse) {
  Net net(5);
  DataParallel parallel(net, *communicator_, {.bucket_bytes = 500, .first_bucket_bytes = 500});
  FusedSgd optimizer(parallel, {.learning_rate = 0.1, .momentum = 0.9});
  const auto x = global_batch(0, 2).input;
  const auto step = [&](int users) {  // ranks below `users` use b
    parallel.zero_grad();
    net.forward(x, rank() < users).sum().backward();
  };
  step(ranks());
  const auto full = net.b->weight.grad().clone();
  step(1);
  EXPECT_TRUE(at::allclose(net.b->weight.grad(), full / ranks(), 1e-5, 1e-7))
      << "ranks that did not use it count as zero";
  EXPECT_EQ(parallel.has_gradient(), std::vector<bool>(6, true));
  const auto before = net.b->weight.detach().clone();
  step(0);
  EXPECT_FALSE(net.b->weight.grad().defined());
  EXPECT_EQ(parallel.has_gradient(), (std::vector<bool>{true, true, false, false, true, true}));
  optimizer.step();
  EXPECT_TRUE(at::equal(net.b->weight, before));
  EXPECT_FALSE(at::equal(net.c->weight.grad(), at::zeros({4, 19})));
  EXPECT_EQ(optimizer.started(), (std::vector<bool>{true, true, false, false, true, true}));
}

// Values of every type, and a shape that leaves words half filled.
struct Buffered : Net {
  explicit Buffered(int rank) : Net(rank) {
    frozen = register_parameter("frozen", at::full({3, 5}, 0.25 + rank), false);
    mean = register_buffer("mean", at::full({7}, 10.0 + rank));
    seen = register_buffer("seen", at::full({}, 100 + rank, at::kLong));
    mask = register_buffer("mask", at::full({3}, rank % 2 == 0, at::kBool));
    half = register_buffer("half", at::full({2, 3}, 1 + rank, at::kHalf).t());
    scale = register_buffer("scale", at::full({1}, 1e-3 * (rank + 1), at::kDouble));
    nothing = register_buffer("nothing", at::zeros({0, 4}));
  }
  bool all_are_rank0s() const { return (frozen == 0.25).all().item<bool>() && buffers_are_rank0s(); }
  bool buffers_are_rank0s() const {
    return (mean == 10).all().item<bool>() && seen.item<std::int64_t>() == 100 && mask.all().item<bool>() &&
           (half == 1).all().item<bool>() && scale.item<double>() == 1e-3;
  }
  at::Tensor frozen, mean, seen, mask, half, scale, nothing;
};

TEST_F(DataParallelRanks, AllRanksStartWithTheValuesOfRank0) {
  Buffered module(rank());
  DataParallel parallel(module, *communicator_);
  EXPECT_TRUE(module.all_are_rank0s());
  Net expected(0);
  EXPECT_EQ(largest_difference(module.a->parameters(), expected.a->parameters()), 0);
}

TEST_F(DataParallelRanks, BuffersFollowRank0OnlyWhileTraining) {
  Buffered module(0);
  DataParallel parallel(module, *communicator_);
  const auto drift = [&] {
    module.mean.fill_(10 + rank());
    module.seen.fill_(100 + rank());
  };
  drift();
  module.eval();
  parallel.broadcast_buffers();
  EXPECT_EQ(module.seen.item<std::int64_t>(), 100 + rank());
  module.train();
  parallel.broadcast_buffers();
  EXPECT_TRUE(module.buffers_are_rank0s());
}

TEST_F(DataParallelRanks, ADifferentModuleOnOneRankIsNamedOnAll) {
  if (ranks() == 1) GTEST_SKIP() << "needs another rank";
  const int odd_one = ranks() - 1;
  struct Layers : torch::nn::Module {
    void add(const std::string& name, std::int64_t width) { register_parameter(name, at::ones({2, width})); }
  };
  const auto refusal_with = [&](const std::function<void(Layers&)>& build_odd) {
    Layers module;
    module.add("first", 5);
    if (rank() == odd_one)
      build_odd(module);
    else
      module.add("second", 7);
    return refusal(module);
  };
  const auto on_last = " on rank " + std::to_string(odd_one);
  EXPECT_EQ(refusal_with([](Layers& l) { l.add("second", 8); }),
            "the ranks have different modules: parameter 'second' [2, 7] Float trainable on rank 0, parameter 'second' "
            "[2, 8] "
            "Float trainable" +
                on_last);
  EXPECT_EQ(
      refusal_with([](Layers&) {}),
      "the ranks have different modules: parameter 'second' [2, 7] Float trainable on rank 0, nothing more" + on_last);
  EXPECT_EQ(refusal_with([](Layers& l) {
              l.register_parameter("second", at::ones({2, 7}), false);
            }),
            "the ranks have different modules: parameter 'second' [2, 7] Float trainable on rank 0, parameter 'second' "
            "[2, 7] "
            "Float" +
                on_last);
  EXPECT_EQ(refusal_with([](Layers& l) {
              l.register_parameter("second", at::ones({2, 7}, at::kDouble));
            }),
            "trainable parameters have several types: 'first' is Float, 'second' is Double");
}

TEST_F(DataParallelRanks, ADifferentPlanOnOneRankIsRefusedOnAll) {
  if (ranks() == 1) GTEST_SKIP() << "needs another rank";
  Net net(1);
  EXPECT_EQ(refusal(net, {.first_bucket_bytes = rank() == 1 ? 100 : 1000}),
            "ranks 0 and 1 have planned different buckets");
}

TEST_F(DataParallelRanks, AStepWithUnsynchronisedGradientsIsRefused) {
  Net net(5);
  DataParallel parallel(net, *communicator_);
  FusedSgd optimizer(parallel, {});
  parallel.zero_grad();
  {
    const auto pause = parallel.no_sync();
    net.forward(global_batch(0, 2).input).sum().backward();
  }
  EXPECT_THROW(optimizer.step(), Failure);
  parallel.synchronize();
  EXPECT_NO_THROW(optimizer.step());
}

// Rank 1 leaves out the backward of the third step: by itself, or because an exception ended it half-way. The others
// say whom they wait for, and for which gradients.
TEST_F(DataParallelRanks, ARankWithoutItsGradientsIsNamed) {
  if (ranks() == 1) GTEST_SKIP() << "needs another rank";
  for (const std::string backend : {"shm", "mpi"}) {
    if (backend == "shm" && !testing::on_one_node()) continue;
    for (const bool half_way : {false, true}) {
      const auto communicator = make_communicator(MPI_COMM_WORLD, {.backend = backend, .timeout_seconds = 1.5});
      Net net(5);
      DataParallel parallel(net, *communicator, {.bucket_bytes = 800, .first_bucket_bytes = 100});
      const auto backward = [&] {
        parallel.zero_grad();
        auto hidden = net.a(global_batch(0, 2).input);
        if (half_way && rank() == 1) hidden.register_hook([](const at::Tensor&) { throw std::runtime_error("lost"); });
        net.c(net.b(hidden)).sum().backward();
      };
      std::string what;
      try {
        if (half_way || rank() != 1) backward();
        if (rank() != 1) what = "no failure";
      } catch (const Failure& failure) {
        what = failure.error().what;
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "lost");
      }
      if (rank() != 1) {
        EXPECT_NE(what.find(" is not complete after 1."), std::string::npos) << what;
        EXPECT_NE(what.find(backend == "shm" ? ": rank 1;" : ": rank 1 does not answer;"), std::string::npos) << what;
        // What it sent before may be incomplete too: it takes part in nothing any more.
        const std::string awaited = half_way ? "'" : "'c.bias'";
        EXPECT_NE(what.find("awaited are the gradients of " + awaited), std::string::npos) << what;
      }
      MPI_Barrier(MPI_COMM_WORLD);  // not earlier: nobody answers for rank 1
      communicator->abort({ErrorKind::peer_lost, "the test is over", {}, {}});  // or its end would wait for the others
    }
  }
}

}  // namespace
}  // namespace lockstep
