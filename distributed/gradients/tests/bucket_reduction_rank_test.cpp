// The ways in which gradients travel, on as many ranks as mpirun started.
#include "lockstep/distributed/gradients/bucket_reduction.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/outer.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/nn/module.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/gradients/agreement.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/gradients/power_sgd.h"

namespace lockstep {
namespace {

// A module whose gradients are what a test wants them to be.
struct Given : torch::nn::Module {
  Given() {
    matrix = register_parameter("matrix", at::ones({60, 50}));
    vector = register_parameter("vector", at::ones({1500}));
    tall = register_parameter("tall", at::ones({700, 3}));  // would not become smaller at rank 4
  }
  void backward(const std::vector<at::Tensor>& gradients) {
    ((matrix * gradients[0]).sum() + (vector * gradients[1]).sum() + (tall * gradients[2]).sum()).backward();
  }
  at::Tensor matrix, vector, tall;
};

at::Tensor random(std::int64_t seed, std::vector<std::int64_t> shape) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<std::uint64_t>(seed));
  return at::randn(shape, generator, at::TensorOptions(at::kFloat));
}

std::vector<at::Tensor> gradients_of(std::int64_t rank, std::int64_t step = 0) {
  const auto seed = 100 * step + 10 * rank;
  return {random(seed, {60, 50}), random(seed + 1, {1500}), random(seed + 2, {700, 3})};
}

at::Tensor mean_over(int ranks, const std::function<at::Tensor(int)>& value) {
  at::Tensor sum = value(0).to(at::kDouble);
  for (int rank = 1; rank < ranks; ++rank) sum = sum + value(rank).to(at::kDouble);
  return sum.div(ranks);
}

class Reductions : public ::testing::Test {
 protected:
  int size() const { return communicator->size(); }
  int rank() const { return communicator->rank(); }

  void expect_equal_on_all(const at::Tensor& values) const {
    std::uint64_t hash = 14695981039346656037u;  // FNV-1a
    const auto* bytes = static_cast<const unsigned char*>(values.const_data_ptr());
    for (std::size_t i = 0; i < values.nbytes(); ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
    const auto all = gather_values(*communicator, at::kCPU, static_cast<std::int64_t>(hash));
    for (const auto one : all) EXPECT_EQ(one, all[0]);
  }

  std::unique_ptr<Communicator> communicator = make_communicator(MPI_COMM_WORLD, {.timeout_seconds = 60});
  Given module;
};

TEST_F(Reductions, SixteenBitsGiveNearlyTheMeanForHalfTheBytes) {
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    DataParallel plain(module, *communicator, {.bucket_bytes = 8192, .first_bucket_bytes = 8192});
    plain.zero_grad();
    module.backward(gradients_of(rank()));
    const auto bytes = plain.last_sync().bytes;
    Given other;
    DataParallel narrow(other, *communicator,
                        {.bucket_bytes = 8192, .first_bucket_bytes = 8192, .reduction = reduce_in_16_bits(type)});
    narrow.zero_grad();
    other.backward(gradients_of(rank()));
    EXPECT_EQ(narrow.last_sync().bytes * 2, bytes);
    const double unit = type == at::kBFloat16 ? 1.0 / 256 : 1.0 / 2048;  // half the distance of neighbours at 1
    for (int i = 0; i < 3; ++i) {
      const auto expected = mean_over(size(), [&](int r) { return gradients_of(r)[static_cast<std::size_t>(i)]; });
      const auto found = other.parameters()[static_cast<std::size_t>(i)].grad();
      // Each summand is off by one rounding, and the mean by another.
      EXPECT_LE((found - expected).abs().max().item<double>(), size() == 1 ? 1e-6 : 2 * 4.5 * unit);
      expect_equal_on_all(found);
      EXPECT_TRUE(size() == 1 || !at::equal(found, module.parameters()[static_cast<std::size_t>(i)].grad()));
    }
  }
}

TEST_F(Reductions, SixteenBitsAndShardsGiveEachRankItsOwn) {
  Given other;
  DataParallel whole(module, *communicator, {.reduction = reduce_in_16_bits(at::kBFloat16)});
  DataParallel shards(other, *communicator,
                      {.shard_optimizer = true, .reduction = reduce_in_16_bits(at::kBFloat16)});
  for (auto* parallel : {&whole, &shards}) parallel->zero_grad();
  module.backward(gradients_of(rank()));
  other.backward(gradients_of(rank()));
  const auto slot_of = [](const DataParallel& parallel, int parameter) {
    for (const auto& bucket : parallel.plan().buckets)
      for (const auto& slot : bucket.slots)
        if (slot.parameter == parameter) return slot;
    return ParameterSlot{};
  };
  for (const auto& piece : pieces_of(shards.plan(), shards.shard())) {
    const auto begin = piece.offset - slot_of(shards, piece.parameter).offset;
    const auto expected = whole.flat_gradients().narrow(0, slot_of(whole, piece.parameter).offset + begin, piece.count);
    EXPECT_TRUE(at::equal(shards.flat_gradients().narrow(0, piece.offset, piece.count), expected)) << piece.parameter;
  }
}

TEST_F(Reductions, OtherTypesAreRefused) {
  EXPECT_THROW(reduce_in_16_bits(at::kFloat), Failure);
  EXPECT_THROW(reduce_by_power_sgd({.rank = 0}), Failure);
  EXPECT_THROW(reduce_by_power_sgd({.plain_steps = -1}), Failure);
}

// P P^T M with the columns of P spanning M Q: computed here at once, in float64, from all ranks' gradients.
TEST_F(Reductions, PowerSgdProjectsTheMean) {
  constexpr std::int64_t kRank = 4;
  DataParallel parallel(module, *communicator, {.reduction = reduce_by_power_sgd({.rank = kRank, .plain_steps = 1})});
  const auto step = [&](int number) {
    parallel.zero_grad();
    module.backward(gradients_of(rank(), number));
  };
  const auto mean = [&](std::size_t i, int number) {
    return mean_over(size(), [&](int r) { return gradients_of(r, number)[i]; });
  };
  step(0);
  EXPECT_TRUE(at::allclose(module.matrix.grad().to(at::kDouble), mean(0, 0), 1e-5, 1e-6)) << "the first step is plain";
  step(1);
  const auto m = mean(0, 1);
  if (size() > 1) {
    const auto q = random(0, {50, kRank}).to(at::kDouble);  // parameter 0's first guess
    const auto p = std::get<0>(at::linalg_qr(at::mm(m, q)));
    EXPECT_TRUE(at::allclose(module.matrix.grad().to(at::kDouble), at::mm(p, at::mm(p.t(), m)), 1e-3, 1e-4));
    EXPECT_FALSE(at::allclose(module.matrix.grad().to(at::kDouble), m, 0.1, 0.1));
    EXPECT_LT(parallel.last_sync().bytes, (60 + 50) * 4 * 4 + (1500 + 2100) * 4 + 64);
  }
  EXPECT_TRUE(at::allclose(module.vector.grad().to(at::kDouble), mean(1, 1), 1e-5, 1e-6));
  EXPECT_TRUE(at::allclose(module.tall.grad().to(at::kDouble), mean(2, 1), 1e-5, 1e-6));
  for (const auto& parameter : module.parameters()) expect_equal_on_all(parameter.grad());
}

TEST_F(Reductions, PowerSgdIsExactForMatricesOfItsRank) {
  DataParallel parallel(module, *communicator, {.reduction = reduce_by_power_sgd({.rank = 2, .plain_steps = 0})});
  const auto matrix = [](int r) {
    return at::outer(random(r, {60}), random(77, {50})) + at::outer(random(r + 50, {60}), random(78, {50}));
  };
  parallel.zero_grad();
  auto gradients = gradients_of(rank());
  gradients[0] = matrix(rank());
  module.backward(gradients);
  EXPECT_TRUE(at::allclose(module.matrix.grad().to(at::kDouble), mean_over(size(), matrix), 1e-3, 1e-4));
}

// What one step leaves out, later ones send: the mean over many steps is the gradient.
TEST_F(Reductions, PowerSgdSendsWhatItOwes) {
  if (size() == 1) GTEST_SKIP() << "nothing travels";
  DataParallel parallel(module, *communicator, {.reduction = reduce_by_power_sgd({.rank = 4, .plain_steps = 0})});
  const auto expected = mean_over(size(), [](int r) { return gradients_of(r)[0]; });
  const auto distance = [&](const at::Tensor& found) {
    return ((found - expected).norm() / expected.norm()).item<double>();
  };
  at::Tensor sum;
  double first = 0;
  constexpr int kSteps = 200;
  for (int step = 0; step < kSteps; ++step) {
    parallel.zero_grad();
    module.backward(gradients_of(rank()));
    const auto now = module.matrix.grad().to(at::kDouble);
    if (step == 0) first = distance(now);
    sum = step == 0 ? now : sum + now;
  }
  EXPECT_GT(first, 0.5);
  EXPECT_LT(distance(sum / kSteps), 0.1);
}

// A reduction of one's own: what a user writes for DDP's communication hooks.
class Halving : public BucketReduction {
 public:
  explicit Halving(const ReductionInput& input) : input_(input), works_(input.plan.buckets.size()) {}
  void start(std::size_t i) override {
    const auto& bucket = input_.plan.buckets[i];
    works_[i] = input_.communicator.all_reduce(input_.buffer(bucket.offset, bucket.count), ReduceOp::average);
  }
  bool finish(std::size_t i) override {
    works_[i].wait();
    const auto& bucket = input_.plan.buckets[i];
    input_.gradients.narrow(0, bucket.offset, bucket.count).mul_(0.5);
    return true;
  }
  void abandon() override {}
  std::int64_t bytes() const override { return 1; }

 private:
  const ReductionInput input_;
  std::vector<Work> works_;
};

TEST_F(Reductions, OnesOwnCanBeGiven) {
  if (size() == 1) GTEST_SKIP() << "nothing travels";
  DataParallel parallel(module, *communicator,
                        {.reduction = [](const ReductionInput& input) { return std::make_unique<Halving>(input); }});
  parallel.zero_grad();
  module.backward(gradients_of(rank()));
  const auto expected = mean_over(size(), [](int r) { return gradients_of(r)[0]; }) / 2;
  EXPECT_TRUE(at::allclose(module.matrix.grad().to(at::kDouble), expected, 1e-5, 1e-6));
}

}  // namespace
}  // namespace lockstep
