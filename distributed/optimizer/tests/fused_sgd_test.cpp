#include "lockstep/distributed/optimizer/fused_sgd.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/self_communicator.h"

namespace lockstep {
namespace {

// Two parameters whose gradients the test chooses.
struct Pair : torch::nn::Module {
  explicit Pair(at::ScalarType type = at::kFloat) {
    u = register_parameter("u", at::ones({3, 2}, type));
    v = register_parameter("v", at::full({5}, -2.0, type));
  }
  void backward(double for_u, double for_v) { (u.sum() * for_u + v.sum() * for_v).backward(); }
  at::Tensor u, v;
};

std::string refusal(const SgdOptions& options) {
  SelfCommunicator self;
  Pair module;
  DataParallel parallel(module, self);
  try {
    FusedSgd(parallel, options);
  } catch (const Failure& failure) {
    return failure.error().what;
  }
  return "accepted";
}

TEST(FusedSgd, RefusesWhatTorchRefuses) {
  EXPECT_EQ(refusal({.learning_rate = -1}), "the learning rate of SGD is -1.000000, it must be at least 0");
  EXPECT_EQ(refusal({.momentum = -0.5}), "the momentum of SGD is -0.500000, it must be at least 0");
  EXPECT_EQ(refusal({.weight_decay = -1e-4}), "the weight decay of SGD is -0.000100, it must be at least 0");
  const std::string nesterov = "Nesterov momentum needs a momentum above 0 and no dampening; they are ";
  EXPECT_EQ(refusal({.nesterov = true}), nesterov + "0.000000 and 0.000000");
  EXPECT_EQ(refusal({.momentum = 0.9, .dampening = 0.1, .nesterov = true}), nesterov + "0.900000 and 0.100000");
  EXPECT_EQ(refusal({.learning_rate = 0, .momentum = 0.9, .nesterov = true}), "accepted");
}

// By hand: v starts with b = 4, p = -2 - 0.5 * 4; then b = 0.5 * 4 + 8 = 10, p = -4 - 5.
TEST(FusedSgd, TwoStepsByHand) {
  SelfCommunicator self;
  Pair module;
  DataParallel parallel(module, self);
  FusedSgd optimizer(parallel, {.learning_rate = 0.5, .momentum = 0.5});
  for (const double gradient : {4.0, 8.0}) {
    parallel.zero_grad();
    module.backward(0, gradient);
    optimizer.step();
  }
  EXPECT_TRUE(at::equal(module.v, at::full({5}, -9.0)));
  EXPECT_TRUE(at::equal(module.u, at::ones({3, 2})));
}

TEST(FusedSgd, WithoutGradientsNothingMoves) {
  SelfCommunicator self;
  Pair module;
  DataParallel parallel(module, self);
  FusedSgd optimizer(parallel, {.learning_rate = 0.5, .momentum = 0.5, .weight_decay = 0.1});
  optimizer.step();
  EXPECT_TRUE(at::equal(module.v, at::full({5}, -2.0)));
  EXPECT_TRUE(at::equal(optimizer.state()[0].second, at::zeros({2}, at::kLong)));
}

// The types without a loop of their own follow torch's operators, rounding after each. torch rounds float16 in one more
// place in a short tensor than in a long one, hence one unit in the last place.
TEST(FusedSgd, HalfPrecisionRoundsAsTorchDoes) {
  SelfCommunicator self;
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    Pair module(type);
    DataParallel parallel(module, self);
    FusedSgd optimizer(parallel, {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01});
    auto p = at::full({5}, -2.0, type);
    at::Tensor b;
    for (int step = 0; step < 4; ++step) {
      parallel.zero_grad();
      module.backward(1, 0.7 + step);
      auto g = at::full({5}, 0.7 + step, type).add(p, 0.01);
      b = step == 0 ? g.clone() : b.mul(0.9).add(g, 1);
      p = p.add(b, -0.1);
      optimizer.step();
    }
    EXPECT_TRUE(at::allclose(module.v, p, type == at::kHalf ? 0x1p-10 : 0x1p-7, 0)) << type;
  }
}

TEST(FusedSgd, ABackwardOverOldValuesIsRefusedAfterAStep) {
  SelfCommunicator self;
  Pair module;
  DataParallel parallel(module, self);
  FusedSgd optimizer(parallel, {});
  const auto loss = module.v.square().sum();
  parallel.zero_grad();
  module.backward(1, 1);
  optimizer.step();
  EXPECT_THROW(loss.backward(), c10::Error);
}

}  // namespace
}  // namespace lockstep
