// SyncBatchNorm on as many ranks as mpirun started, against torch's BatchNorm over the concatenated batch in one
// process.
#include "lockstep/distributed/layers/sync_batch_norm.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <mpi.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <memory>
#include <numeric>
#include <optional>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/make_communicator.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/gradients/data_parallel.h"

namespace lockstep {
namespace {

using torch::nn::BatchNormOptions;

at::Tensor draw(at::IntArrayRef shape, std::uint64_t seed, at::ScalarType type = at::kFloat) {
  return at::randn(shape, at::make_generator<at::CPUGeneratorImpl>(seed), at::kDouble).to(type);
}

// 0 where both are zero; the largest difference as a part of the largest value.
double relative_difference(const at::Tensor& value, const at::Tensor& expected) {
  EXPECT_EQ(value.sizes(), expected.sizes());
  if (value.numel() == 0) return 0;
  const double difference = (value.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>();
  return difference == 0 ? 0 : difference / expected.to(at::kDouble).abs().max().item<double>();
}

class SyncBatchNorm : public ::testing::Test {
 protected:
  int rank() const { return communicator_->rank(); }
  int ranks() const { return communicator_->size(); }
  Communicator& communicator() { return *communicator_; }

  // This rank's rows of a batch of which rank r has counts[r].
  at::Tensor share(const at::Tensor& all, const std::vector<std::int64_t>& counts) const {
    return all.narrow(0, std::accumulate(counts.begin(), counts.begin() + rank(), std::int64_t{0}), counts[rank()]);
  }
  at::Tensor sum_over_ranks(const at::Tensor& mine) {
    at::Tensor sum = mine.detach().to(at::kDouble).contiguous().clone();
    communicator_->all_reduce({sum.data_ptr(), sum.numel(), DataType::float64}, ReduceOp::sum).wait();
    return sum;
  }

  // Three steps of both layers, each over new values; everything that comes out of them is compared.
  template <typename Ours, typename Torchs>
  void compare(const BatchNormOptions& options, at::IntArrayRef sample_shape, const std::vector<std::int64_t>& counts,
               double tolerance, double offset = 0, at::ScalarType type = at::kFloat) {
    Ours ours(options, *communicator_);
    Torchs torchs(options);
    if (options.affine()) {
      for (auto* const tensors : {&ours->weight, &torchs->weight})
        tensors->detach().copy_(draw({options.num_features()}, 5));
      for (auto* const tensors : {&ours->bias, &torchs->bias})
        tensors->detach().copy_(draw({options.num_features()}, 6));
    }
    ours->to(type), torchs->to(at::kDouble);  // the truth has 53 bits
    std::vector<std::int64_t> shape = {std::accumulate(counts.begin(), counts.end(), std::int64_t{0})};
    shape.insert(shape.end(), sample_shape.begin(), sample_shape.end());
    for (std::uint64_t step = 0; step < 3; ++step) {
      const at::Tensor all = (draw(shape, 10 + step) * (1.0 + static_cast<double>(step)) + offset).to(type);
      const at::Tensor gradient = draw(shape, 20 + step, type);
      const at::Tensor mine = share(all, counts).clone().requires_grad_(true);
      const at::Tensor whole = all.to(at::kDouble).requires_grad_(true);
      const at::Tensor output = ours->forward(mine), expected = torchs->forward(whole);
      output.backward(share(gradient, counts));
      expected.backward(gradient.to(at::kDouble));
      EXPECT_EQ(output.scalar_type(), type);
      EXPECT_LE(relative_difference(output, share(expected, counts)), tolerance);
      EXPECT_LE(relative_difference(mine.grad(), share(whole.grad(), counts)), 4 * tolerance);
      if (options.affine()) {  // of this rank's samples alone: DataParallel averages them
        EXPECT_LE(relative_difference(sum_over_ranks(ours->weight.grad()), torchs->weight.grad()), 4 * tolerance);
        EXPECT_LE(relative_difference(sum_over_ranks(ours->bias.grad()), torchs->bias.grad()), 4 * tolerance);
      }
      if (!options.track_running_stats()) continue;
      EXPECT_LE(relative_difference(ours->running_mean, torchs->running_mean), tolerance);
      EXPECT_LE(relative_difference(ours->running_var, torchs->running_var), tolerance);
      EXPECT_EQ(ours->num_batches_tracked.template item<std::int64_t>(), static_cast<std::int64_t>(step) + 1);
      EXPECT_TRUE(equal_everywhere(ours->running_mean) && equal_everywhere(ours->running_var));
    }
    ours->eval(), torchs->eval();
    const at::Tensor all = draw(shape, 30, type);
    EXPECT_LE(relative_difference(ours->forward(share(all, counts)),
                                  options.track_running_stats() ? share(torchs->forward(all.to(at::kDouble)), counts)
                                                                : torchs->forward(share(all, counts).to(at::kDouble))),
              tolerance);
  }

  bool equal_everywhere(const at::Tensor& tensor) {
    at::Tensor first = tensor.detach().to(at::kDouble).contiguous().clone();
    communicator_->broadcast({first.data_ptr(), first.numel(), DataType::float64}, 0).wait();
    return at::equal(first, tensor.detach().to(at::kDouble));
  }

  std::vector<std::int64_t> even(std::int64_t count) const { return std::vector<std::int64_t>(ranks(), count); }
  std::vector<std::int64_t> rising() const {
    std::vector<std::int64_t> counts(ranks());
    std::iota(counts.begin(), counts.end(), 2);
    return counts;
  }

  std::unique_ptr<Communicator> communicator_ = make_communicator(MPI_COMM_WORLD, {});
};

constexpr double kFloatTolerance = 2e-6;

TEST_F(SyncBatchNorm, EqualsTorchOverTheConcatenatedBatchIn1d2dAnd3d) {
  compare<SyncBatchNorm1d, torch::nn::BatchNorm1d>(BatchNormOptions(6), {6}, even(5), kFloatTolerance);
  compare<SyncBatchNorm1d, torch::nn::BatchNorm1d>(BatchNormOptions(6), {6, 9}, even(3), kFloatTolerance);
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(7), {7, 5, 4}, even(4), kFloatTolerance);
  compare<SyncBatchNorm3d, torch::nn::BatchNorm3d>(BatchNormOptions(3), {3, 4, 3, 2}, even(2), kFloatTolerance);
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(512), {512, 2, 2}, even(2), kFloatTolerance);
}

TEST_F(SyncBatchNorm, HasTheOptionsOfBatchNorm) {
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(7).affine(false), {7, 3, 3}, even(4),
                                                   kFloatTolerance);
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(7).momentum(std::nullopt), {7, 3, 3}, even(4),
                                                   kFloatTolerance);
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(7).momentum(0.4).eps(0.1), {7, 3, 3}, even(4),
                                                   kFloatTolerance);
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(7).track_running_stats(false), {7, 3, 3}, even(4),
                                                   kFloatTolerance);
}

TEST_F(SyncBatchNorm, WeighsRanksByTheirSamples) {
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(5), {5, 3, 3}, rising(), kFloatTolerance);
  auto counts = rising();
  counts.back() = ranks() > 1 ? 0 : 3;  // a rank without samples
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(5), {5, 3, 3}, counts, kFloatTolerance);
  // One value of each channel per rank. (Of two values in all, the normalised ones are -1 and 1: no gradient to
  // compare.)
  if (ranks() > 2) compare<SyncBatchNorm1d, torch::nn::BatchNorm1d>(BatchNormOptions(5), {5}, even(1), kFloatTolerance);
}

// A mean a thousand times the deviation: a float32 sum of squares would have lost all of the variance. What is left is
// the rounding of the mean itself, and of x - mean, both 6e-8 of 1000.
TEST_F(SyncBatchNorm, KeepsTheVarianceOfValuesFarFromZero) {
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(5), {5, 6, 6}, even(8), 2e-4, /*offset=*/1000);
}

TEST_F(SyncBatchNorm, ComputesInDouble) {
  compare<SyncBatchNorm2d, torch::nn::BatchNorm2d>(BatchNormOptions(5), {5, 3, 3}, rising(), 1e-14, 0, at::kDouble);
}

TEST_F(SyncBatchNorm, TakesBfloat16FromAutocast) {
  SyncBatchNorm2d ours(4, communicator());
  torch::nn::BatchNorm2d torchs(4);
  const at::Tensor all = draw({4 * ranks(), 4, 5, 5}, 3).to(at::kBFloat16);
  const at::Tensor gradient = draw({4 * ranks(), 4, 5, 5}, 4).to(at::kBFloat16);
  const at::Tensor mine = share(all, even(4)).clone().requires_grad_(true), whole = all.clone().requires_grad_(true);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const at::Tensor output = ours->forward(mine), expected = torchs->forward(whole);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  output.backward(share(gradient, even(4)));
  expected.backward(gradient);
  EXPECT_EQ(output.scalar_type(), at::kBFloat16);
  EXPECT_EQ(mine.grad().scalar_type(), at::kBFloat16);
  EXPECT_EQ(ours->weight.grad().scalar_type(), at::kFloat);
  constexpr double kUnit = 1.0 / 128;  // of bfloat16, in the last place
  EXPECT_LE(relative_difference(output, share(expected, even(4))), kUnit);
  EXPECT_LE(relative_difference(mine.grad(), share(whole.grad(), even(4))), 2 * kUnit);
  EXPECT_LE(relative_difference(sum_over_ranks(ours->weight.grad()), torchs->weight.grad()), kUnit);
  EXPECT_LE(relative_difference(ours->running_var, torchs->running_var), 1e-5);
}

TEST_F(SyncBatchNorm, HasTheNamesOfBatchNorm) {
  SyncBatchNorm2d ours(3, communicator());
  torch::nn::BatchNorm2d torchs(3);
  const auto names = [](const auto& items) {
    std::vector<std::string> found;
    for (const auto& item : items) found.push_back(item.key());
    return found;
  };
  EXPECT_EQ(names(ours->named_parameters()), names(torchs->named_parameters()));
  EXPECT_EQ(names(ours->named_buffers()), names(torchs->named_buffers()));
}

TEST_F(SyncBatchNorm, RefusesWhatBatchNormRefuses) {
  SyncBatchNorm2d flat(3, communicator());
  EXPECT_THROW(flat->forward(at::zeros({2, 3})), c10::Error);
  SyncBatchNorm1d layer(3, communicator());
  std::vector<std::int64_t> one(ranks(), 0);
  one.back() = 1;
  try {
    layer->forward(share(at::zeros({1, 3}), one));
    ADD_FAILURE() << "one value per channel was normalised";
  } catch (const Failure& failure) {  // on every rank
    EXPECT_EQ(failure.error().kind, ErrorKind::usage);
    EXPECT_NE(failure.error().what.find("1 value"), std::string::npos) << failure.error().what;
  } catch (const std::exception&) {
    EXPECT_EQ(ranks(), 1);  // torch's own
  }
}

// A network with unused parts, so that buckets fill at different times on different ranks, while the layers' own
// reductions go on between them.
template <typename Norm>
struct Net : torch::nn::Module {
  explicit Net(const std::function<Norm(std::int64_t)>& make) {
    first = register_module("first", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 6, 3)));
    norm1 = register_module("norm1", make(6));
    second = register_module("second", torch::nn::Conv2d(torch::nn::Conv2dOptions(6, 6, 3)));
    side = register_module("side", torch::nn::Linear(6, 6));
    norm2 = register_module("norm2", make(6));
    last = register_module("last", torch::nn::Linear(6, 3));
    for (std::uint64_t i = 0; auto& parameter : parameters())
      parameter.detach().copy_(draw(parameter.sizes(), ++i) * 0.5);
  }
  at::Tensor forward(const at::Tensor& x, bool use_side) {
    at::Tensor y = norm1->forward(first(x)).relu();
    y = norm2->forward(second(y)).relu().mean({2, 3});
    if (use_side) y = y + side(y);
    return last(y);
  }
  torch::nn::Conv2d first{nullptr}, second{nullptr};
  torch::nn::Linear side{nullptr}, last{nullptr};
  Norm norm1{nullptr}, norm2{nullptr};
};

TEST_F(SyncBatchNorm, TrainsWithDataParallelAsOneProcessWould) {
  const auto of_layers = make_communicator(MPI_COMM_WORLD, {});
  Net<SyncBatchNorm2d> ours([&](std::int64_t channels) { return SyncBatchNorm2d(channels, *of_layers); });
  Net<torch::nn::BatchNorm2d> torchs([](std::int64_t channels) { return torch::nn::BatchNorm2d(channels); });
  // One parameter per bucket: as many collectives as there can be between those of the layers.
  DataParallel parallel(ours, communicator(), {.bucket_bytes = 1, .first_bucket_bytes = 1});
  const auto counts = even(3);
  for (std::uint64_t step = 0; step < 4; ++step) {
    parallel.zero_grad();
    for (auto& parameter : torchs.parameters()) parameter.mutable_grad().reset();
    for (std::uint64_t micro = 0; micro < 2; ++micro) {  // gradients accumulate
      std::optional<DataParallel::NoSync> only_add;
      if (micro == 0) only_add.emplace(parallel);
      const at::Tensor all = draw({3 * ranks(), 2, 8, 8}, 40 + 2 * step + micro);
      const bool use_side = rank() % 2 == 0;
      ours.forward(share(all, counts), use_side).square().mean().backward();
      at::Tensor loss;  // the norms see all samples at once, what follows each rank's own
      at::Tensor y = torchs.norm1->forward(torchs.first(all)).relu();
      y = torchs.norm2->forward(torchs.second(y)).relu().mean({2, 3});
      for (int other = 0; other < ranks(); ++other) {
        at::Tensor part = y.narrow(0, 3 * other, 3);
        if (other % 2 == 0) part = part + torchs.side(part);
        const at::Tensor its_loss = torchs.last(part).square().mean();
        loss = loss.defined() ? loss + its_loss : its_loss;
      }
      (loss / ranks()).backward();
    }
    const c10::AutoGradMode no_graph(false);
    const auto parameters = ours.parameters(), expected = torchs.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      // The biases before a norm have no effect: what they get is rounding.
      if (expected[i].grad().abs().max().item<double>() < 1e-6) continue;
      EXPECT_LE(relative_difference(parameters[i].grad(), expected[i].grad()), 2e-5) << "parameter " << i;
    }
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      parameters[i].sub_(0.1 * parameters[i].grad());
      expected[i].sub_(0.1 * expected[i].grad());
    }
  }
}

}  // namespace
}  // namespace lockstep
