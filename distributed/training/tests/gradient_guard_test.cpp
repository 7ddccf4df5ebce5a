// The guard between gradients and optimizer, and the loss scale.
#include "lockstep/distributed/training/gradient_guard.h"

#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <cmath>
#include <limits>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/self_communicator.h"

namespace lockstep {
namespace {

const double kInfinity = std::numeric_limits<double>::infinity();

struct One : torch::nn::Module {
  One() { p = register_parameter("p", at::full({4}, 1.0)); }
  at::Tensor p;
};

// Guards a model whose gradient has the norm 2 * |gradient|.
struct Guarded {
  explicit Guarded(GuardOptions options) : guard(options) {}
  GradientGuard::Verdict operator()(double gradient, std::int64_t step = 7) {
    parallel.zero_grad();
    (one.p * gradient).sum().backward();
    return guard(parallel, step);
  }
  SelfCommunicator self;
  One one;
  DataParallel parallel{one, self};
  GradientGuard guard;
};

std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.error().what;
  }
  return "accepted";
}

TEST(GradientGuard, WithoutOptionsLooksAtNothing) {
  Guarded guarded({});
  const auto verdict = guarded(kInfinity);
  EXPECT_FALSE(verdict.skip || verdict.norm);
  EXPECT_EQ(verdict.scale, 1);
}

TEST(GradientGuard, Clips) {
  Guarded guarded({.clip_norm = 1});
  EXPECT_EQ(guarded(0.25).scale, 1);
  const auto verdict = guarded(2);
  EXPECT_EQ(verdict.norm, 4);
  EXPECT_NEAR(verdict.scale, 0.25, 1e-6);
  EXPECT_EQ(message([&] { guarded(kInfinity); }), "the norm of the gradients is infinite at step 7");
  EXPECT_EQ(message([&] { guarded(std::nan("")); }), "the norm of the gradients is NaN at step 7");
}

TEST(GradientGuard, LeavesOutliersOut) {
  Guarded guarded({.skip_outliers = 6, .outlier_window = 10});
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(guarded(1 + 0.01 * (i % 3)).skip);
  const auto verdict = guarded(100);
  EXPECT_TRUE(verdict.skip);
  EXPECT_EQ(verdict.reason, "the norm of its gradients is 200");
  EXPECT_TRUE(guarded(std::nan("")).skip);
  EXPECT_FALSE(guarded(1.01).skip);
}

TEST(GradientGuard, UnscalesWhatTheLossScaleScaled) {
  Guarded guarded({.clip_norm = 1, .loss_scale = LossScalerOptions{.initial = 1024}});
  EXPECT_EQ(guarded.guard.loss_scale(), 1024);
  const auto verdict = guarded(2 * 1024);  // backward saw the scaled loss
  EXPECT_EQ(verdict.norm, 4);
  EXPECT_NEAR(verdict.scale, 0.25 / 1024, 1e-9);
  const auto skipped = guarded(kInfinity);
  EXPECT_TRUE(skipped.skip);
  EXPECT_EQ(skipped.reason, "its gradients are not finite in float16; the loss scale is now 512");
  EXPECT_EQ(guarded.guard.loss_scale(), 512);
}

TEST(GradientGuard, GoesOnFromItsState) {
  Guarded first({.loss_scale = LossScalerOptions{.growth_interval = 3}}),
      second({.loss_scale = LossScalerOptions{.growth_interval = 3}});
  first(kInfinity);
  first(1), first(1);
  second.guard.load_state(first.guard.state());
  second(1);
  EXPECT_EQ(second.guard.loss_scale(), 65536);
}

// torch.amp.GradScaler(init_scale=8, growth_interval=2) after good, good, bad, good, bad: 8, 16, 8, 8, 4.
TEST(LossScaler, FollowsGradScaler) {
  LossScaler scaler({.initial = 8, .growth_interval = 2});
  std::vector<double> scales;
  for (const bool good : {true, true, false, true, false}) {
    scaler.update(good, 1);
    scales.push_back(scaler.scale());
  }
  EXPECT_EQ(scales, (std::vector<double>{8, 16, 8, 8, 4}));
}

TEST(LossScaler, SaysWhenNoScaleHelps) {
  LossScaler scaler({.initial = 2});
  scaler.update(false, 1);
  EXPECT_EQ(message([&] { scaler.update(false, 5); }), "the gradients of step 5 are not finite, even unscaled");
  EXPECT_EQ(message([] { LossScaler({.backoff = 1}); }),
            "the backoff of the loss scale is 1.000000, it must be above 0 and below 1");
}

}  // namespace
}  // namespace lockstep
