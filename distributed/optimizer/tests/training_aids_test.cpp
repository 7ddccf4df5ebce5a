// Clipping, averaged weights, outliers and the scaling of the learning rate.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>
#include <torch/nn/utils/clip_grad.h>

#include <cmath>
#include <functional>
#include <limits>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/optimizer/gradient_norm.h"
#include "lockstep/distributed/optimizer/outlier_watch.h"
#include "lockstep/distributed/optimizer/schedule.h"
#include "lockstep/distributed/optimizer/weight_average.h"

namespace lockstep {
namespace {

struct Net : torch::nn::Module {
  explicit Net(at::ScalarType type = at::kFloat) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
    a = register_parameter("a", at::randn({1000, 7}, generator).to(type));
    b = register_parameter("b", at::randn({13}, generator).to(type));
    unused = register_parameter("unused", at::randn({40}, generator).to(type));
  }
  // The gradient of a and b becomes theirs times `size`.
  void backward(double size) { ((a.square().sum() + b.square().sum()) * (size / 2)).backward(); }
  at::Tensor a, b, unused;
};

class Clipping : public ::testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(Types, Clipping, ::testing::Values(at::kFloat, at::kDouble, at::kBFloat16));

// torch's function changes the gradients themselves; ours leaves the factor to the optimizer.
TEST_P(Clipping, IsTorchs) {
  for (const double size : {0.001, 3.0}) {
    SelfCommunicator self;
    Net ours(GetParam()), theirs(GetParam());
    DataParallel parallel(ours, self);
    FusedSgd optimizer(parallel, {.learning_rate = 1});
    ours.backward(size);
    theirs.backward(size);
    const auto clipped = clip_gradients(parallel, 2.0);
    optimizer.step(clipped.scale);
    const double norm = torch::nn::utils::clip_grad_norm_(theirs.parameters(), 2.0);
    const bool narrow = GetParam() == at::kBFloat16;
    EXPECT_NEAR(clipped.norm.item<double>(), norm, (narrow ? 1e-2 : 1e-6) * norm);
    EXPECT_EQ(clipped.scale<1, size> 1);
    const auto expected = theirs.a - theirs.a.grad();
    EXPECT_TRUE(at::allclose(ours.a, expected, 1e-6, narrow ? 2e-2 : 1e-6))
        << (ours.a - expected).abs().max().item<double>();
    EXPECT_TRUE(at::equal(ours.unused, theirs.unused));
  }
}

TEST(GradientNorm, OfWhatIsNotFiniteIsNotFinite) {
  SelfCommunicator self;
  Net net;
  DataParallel parallel(net, self);
  net.backward(std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isinf(gradient_norm(parallel).item<double>()));
  EXPECT_EQ(clip_gradients(parallel, 1).scale, 0);
  parallel.zero_grad();
  net.backward(std::nan(""));
  EXPECT_TRUE(std::isnan(clip_gradients(parallel, 1).scale));
}

TEST(WeightAverage, FollowsItsFormula) {
  for (const bool warms_up : {false, true}) {
    SelfCommunicator self;
    Net net;
    DataParallel parallel(net, self);
    WeightAverage average(parallel, {.decay = 0.9, .warms_up = warms_up});
    at::Tensor expected;
    for (int t = 0; t < 12; ++t) {
      net.a.detach().mul_(-0.7);
      const double decay = warms_up ? std::min(0.9, (1.0 + t) / (10.0 + t)) : 0.9;
      const auto now = net.a.detach().to(at::kDouble, false, /*copy=*/true);
      expected = t == 0 ? now : expected * decay + now * (1 - decay);
      average.update();
    }
    const auto last = net.a.detach().clone();
    {
      const auto swapped = average.swap();
      EXPECT_TRUE(at::allclose(net.a.detach().to(at::kDouble), expected, 1e-5, 1e-7));
    }
    EXPECT_TRUE(at::equal(net.a, last));
  }
}

TEST(WeightAverage, GoesOnFromSavedState) {
  SelfCommunicator self;
  Net net, other;
  DataParallel parallel(net, self), other_parallel(other, self);
  WeightAverage average(parallel, {}), resumed(other_parallel, {});
  for (int t = 0; t < 5; ++t) {
    if (t == 3)
      for (std::size_t i = 0; i < average.state().size(); ++i)
        resumed.state()[i].second.copy_(average.state()[i].second);
    net.a.detach().mul_(0.7);
    other.a.detach().copy_(net.a);
    average.update();
    if (t >= 3) resumed.update();
  }
  const auto a = average.swap();
  const auto b = resumed.swap();
  EXPECT_TRUE(at::equal(net.a, other.a));
  EXPECT_EQ(average.state()[1].first, "ema.a");
}

TEST(WeightAverage, WithoutAnUpdateSwapsNothing) {
  SelfCommunicator self;
  Net net;
  DataParallel parallel(net, self);
  const auto before = net.a.detach().clone();
  WeightAverage average(parallel, {});
  const auto swapped = average.swap();
  EXPECT_TRUE(at::equal(net.a, before));
  EXPECT_THROW(WeightAverage(parallel, {.decay = 1}), Failure);
}

TEST(OutlierWatch, JudgesAgainstTheWindow) {
  OutlierWatch watch(3, 4);
  for (const double value : {1.0, 100.0, 1.0, 100.0}) EXPECT_FALSE(watch.is_outlier(value));
  EXPECT_FALSE(watch.is_outlier(190));  // mean 50.5, deviation 49.5
  for (const double value : {1.0, 2.0, 3.0, 2.0}) EXPECT_FALSE(watch.is_outlier(value));
  EXPECT_TRUE(watch.is_outlier(4.2));  // mean 2, deviation 0.707: the limit is 4.12
  EXPECT_FALSE(watch.is_outlier(4.1));
  EXPECT_FALSE(watch.is_outlier(-100));  // small is never too much
}

TEST(OutlierWatch, WhatIsNotFiniteIsAlwaysAnOutlier) {
  OutlierWatch watch(3, 2);
  EXPECT_TRUE(watch.is_outlier(std::nan("")));
  EXPECT_FALSE(watch.is_outlier(1));
  EXPECT_TRUE(watch.is_outlier(std::numeric_limits<double>::infinity()));
}

TEST(OutlierWatch, EqualValuesDoNotMakeAllOthersOutliers) {
  OutlierWatch watch(3, 3);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(watch.is_outlier(5));
  EXPECT_FALSE(watch.is_outlier(5.0149));
  EXPECT_TRUE(watch.is_outlier(6));
}

TEST(OutlierWatch, GivesInWhenTheTrainingHasChanged) {
  OutlierWatch watch(3, 2, /*patience=*/3);
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(watch.is_outlier(1));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(watch.is_outlier(50));
  for (int i = 0; i < 4; ++i) EXPECT_FALSE(watch.is_outlier(50));
}

TEST(OutlierWatch, GoesOnFromSavedState) {
  OutlierWatch watch(3, 3), resumed(3, 3);
  for (const double value : {1.0, 2.0, 1.5, 1.7}) watch.is_outlier(value);
  resumed.state() = watch.state();
  for (const double value : {9.0, 1.2, 1.9, 2.4, 9.0, 1.1})
    EXPECT_EQ(watch.is_outlier(value), resumed.is_outlier(value));
  EXPECT_EQ(watch.state(), resumed.state());
}

TEST(Schedule, TheWarmUpComesFirstAndTheLastValueHolds) {
  const Schedule linear{.shape = "linear", .learning_rate = 1, .warmup_steps = 4, .total_steps = 14, .end_factor = 0.5};
  EXPECT_EQ(learning_rate_at(linear, 1), 0.5);
  EXPECT_EQ(learning_rate_at(linear, 4), 1);
  EXPECT_EQ(learning_rate_at(linear, 9), 0.75);
  EXPECT_EQ(learning_rate_at(linear, 1000), 0.5);
  const Schedule cycle{.shape = "one-cycle", .learning_rate = 1, .total_steps = 10};
  EXPECT_NEAR(learning_rate_at(cycle, 1000), 0.04 / 1e4, 1e-15);
  EXPECT_EQ(learning_rate_at({.shape = "multistep", .learning_rate = 1, .milestones = {5}, .total_steps = 9}, 1000),
            0.1);
  for (const auto& shape : schedule_names())
    EXPECT_TRUE(std::isfinite(learning_rate_at({.shape = shape, .learning_rate = 1, .total_steps = 1}, 0))) << shape;
}

TEST(Schedule, ScalesWithTheWorld) {
  EXPECT_EQ(learning_rate_scale("none", 16), 1);
  EXPECT_EQ(learning_rate_scale("linear", 16), 16);
  EXPECT_EQ(learning_rate_scale("sqrt", 16), 4);
}

}  // namespace
}  // namespace lockstep
