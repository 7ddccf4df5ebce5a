// What holds of all optimizers.
#include "lockstep/distributed/optimizer/optimizer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include <functional>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/optimizer/tests/allocation_count.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"

namespace lockstep {
namespace {

using testing::optimizer_by_name;

struct Net : torch::nn::Module {
  explicit Net(at::ScalarType type = at::kFloat) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
    const auto draw = [&](std::vector<std::int64_t> shape) { return at::randn(shape, generator).to(type); };
    matrix = register_parameter("fc_weight", draw({9, 5}));
    vector = register_parameter("fc_bias", draw({9}));
    filter = register_parameter("conv_weight", draw({4, 3, 2, 2}));
    scale = register_parameter("norm_weight", draw({3}));
  }
  at::Tensor matrix, vector, filter, scale;
};

// A net, its DataParallel and an optimizer; step(i) has gradients that depend on i alone.
struct Training {
  explicit Training(const std::string& name, const std::string& options = "learning_rate=0.05",
                    at::ScalarType type = at::kFloat)
      : net(type), parallel(net, self), optimizer(optimizer_by_name(parallel, name, testing::parse_values(options))) {}

  void backward(int i, bool all = true) {
    parallel.zero_grad();
    auto generator = at::make_generator<at::CPUGeneratorImpl>(100 + i);
    auto loss = (net.vector * at::randn({9}, generator).to(net.vector)).sum();
    for (const auto& p : {net.matrix, net.filter, net.scale})
      if (all) loss = loss + (p * at::randn(p.sizes(), generator).to(p)).sum();
    loss.backward();
  }
  void step(int i, bool all = true) {
    backward(i, all);
    optimizer->step();
  }

  SelfCommunicator self;
  Net net;
  DataParallel parallel;
  std::unique_ptr<Optimizer> optimizer;
};

class EveryOptimizer : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Names, EveryOptimizer, ::testing::Values("sgd", "adam", "adamw", "lamb", "lars", "muon"),
                         [](const auto& name) { return name.param; });

// Saved after a step that left parameters out, so that they have had different numbers of updates.
TEST_P(EveryOptimizer, GoesOnFromSavedState) {
  const std::string options = "learning_rate=0.05,weight_decay=0.01";
  Training straight(GetParam(), options), resumed(GetParam(), options);
  straight.step(0);
  straight.step(1, false);
  const auto saved = straight.optimizer->state();
  auto views = resumed.optimizer->state();
  ASSERT_EQ(saved.size(), views.size());
  for (std::size_t i = 0; i < saved.size(); ++i) {
    ASSERT_EQ(saved[i].first, views[i].first);
    ASSERT_EQ(saved[i].second.sizes(), views[i].second.sizes());
    views[i].second.copy_(saved[i].second);
  }
  for (std::size_t i = 0; i < straight.net.parameters().size(); ++i)
    resumed.net.parameters()[i].detach().copy_(straight.net.parameters()[i]);
  for (int i = 2; i < 5; ++i) straight.step(i), resumed.step(i);
  for (std::size_t i = 0; i < straight.net.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(straight.net.parameters()[i], resumed.net.parameters()[i])) << i;
}

TEST_P(EveryOptimizer, LeavesAParameterWithoutGradientAlone) {
  Training training(GetParam(), "learning_rate=0.05,weight_decay=0.1");
  training.step(0);
  const auto before = training.net.matrix.detach().clone();
  std::vector<at::Tensor> state;
  for (const auto& [name, values] : training.optimizer->state()) state.push_back(values.clone());
  training.step(1, /*all=*/false);
  EXPECT_TRUE(at::equal(training.net.matrix, before));
  const auto now = training.optimizer->state();
  for (std::size_t i = 1; i < now.size(); ++i)
    EXPECT_EQ(at::equal(now[i].second, state[i]), now[i].first.find("fc_bias") == std::string::npos) << now[i].first;
  EXPECT_EQ(now[0].second[0].item<int>(), 1);
  EXPECT_EQ(now[0].second[1].item<int>(), 2);
}

TEST_P(EveryOptimizer, ByOperatorsDoesTheSame) {
  const std::string options = "learning_rate=0.05,weight_decay=0.1";
  Training kernels(GetParam(), options), operators(GetParam(), options);
  operators.optimizer->use_operators();
  for (int i = 0; i < 6; ++i) {
    for (auto* training : {&kernels, &operators}) {
      training->backward(i, i != 3);
      training->optimizer->step(/*gradient_scale=*/0.25);
    }
  }
  for (std::size_t i = 0; i < kernels.net.parameters().size(); ++i)
    EXPECT_TRUE(at::allclose(kernels.net.parameters()[i], operators.net.parameters()[i], 1e-5, 1e-6)) << i;
}

TEST_P(EveryOptimizer, TrainsHalfPrecision) {
  Training whole(GetParam()), half(GetParam(), "learning_rate=0.05", at::kBFloat16);
  for (int i = 0; i < 4; ++i) whole.step(i), half.step(i);
  for (std::size_t i = 0; i < whole.net.parameters().size(); ++i)
    EXPECT_TRUE(at::allclose(whole.net.parameters()[i], half.net.parameters()[i].to(at::kFloat), 3e-2, 3e-2)) << i;
}

TEST_P(EveryOptimizer, AScaledGradientIsASmallerGradient) {
  Training scaled(GetParam()), multiplied(GetParam());
  for (int i = 0; i < 4; ++i) {
    scaled.backward(i);
    scaled.optimizer->step(0.25);
    multiplied.backward(i);
    multiplied.parallel.prepare_update();
    multiplied.parallel.flat_gradients().detach().mul_(0.25);
    multiplied.optimizer->step();
  }
  for (std::size_t i = 0; i < scaled.net.parameters().size(); ++i)
    EXPECT_TRUE(at::allclose(scaled.net.parameters()[i], multiplied.net.parameters()[i], 1e-6, 1e-7)) << i;
}

TEST_P(EveryOptimizer, AllocatesNothingInASteadyStep) {
  if (GetParam() == "muon") GTEST_SKIP() << "its matrix products are LibTorch's, which allocates";
  Training training(GetParam());
  training.step(0);
  training.backward(1);
  EXPECT_EQ(testing::allocations_in([&] { training.optimizer->step(); }), 0);
}

TEST_P(EveryOptimizer, PaddingStaysZero) {
  Training training(GetParam(), "learning_rate=0.05,weight_decay=0.1");
  for (int i = 0; i < 3; ++i) training.step(i);
  auto& flat = training.parallel.flat_parameters();
  double inside = 0;
  for (const auto& p : training.net.parameters()) inside += p.detach().abs().sum().item<double>();
  EXPECT_NEAR(flat.narrow(0, 0, training.parallel.plan().total_count).detach().abs().sum().item<double>(), inside,
              1e-4);
}

std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.error().what;
  }
  return "accepted";
}

TEST(Optimizers, RefuseValuesOutOfRange) {
  const auto refusal = [](const std::string& name, const std::string& options) {
    return message([&] { Training(name, options); });
  };
  EXPECT_EQ(refusal("adamw", "beta1=1"), "the beta1 of AdamW is 1.000000, it must be below 1");
  EXPECT_EQ(refusal("adam", "eps=-1"), "the eps of Adam is -1.000000, it must be at least 0");
  EXPECT_EQ(refusal("lamb", "beta2=1.5"), "the beta2 of LAMB is 1.500000, it must be below 1");
  EXPECT_EQ(refusal("lars", "trust_coefficient=-1"),
            "the trust coefficient of LARS is -1.000000, it must be at least 0");
  EXPECT_EQ(refusal("muon", "momentum=1"), "the momentum of Muon is 1.000000, it must be below 1");
}

TEST(ParameterGroups, PatternsMatchNames) {
  EXPECT_TRUE(matches("layer1.0.conv1.weight", "layer1.*.weight"));
  EXPECT_TRUE(matches("fc1.bias", "fc?.bias"));
  EXPECT_TRUE(matches("", "*"));
  EXPECT_TRUE(matches("a", "**a"));
  EXPECT_FALSE(matches("fc12.bias", "fc?.bias"));
  EXPECT_FALSE(matches("fc1.bias", "fc1"));
  EXPECT_FALSE(matches("", "?"));
}

// By hand: p = 1, gradient 1: p - rate * (1 + decay * p) in the plain form of SGD.
TEST(ParameterGroups, HaveTheirOwnRateAndDecay) {
  SelfCommunicator self;
  Net net;
  for (auto& p : net.parameters()) p.detach().fill_(1);
  DataParallel parallel(net, self);
  FusedSgd optimizer(parallel, {.learning_rate = 0.5,
                                .weight_decay = 0.25,
                                .groups = {{.pattern = "conv_*", .learning_rate_factor = 0.5},
                                           {.vectors_weight_decay = 0.0}}});
  at::Tensor loss;
  for (const auto& p : net.parameters()) loss = loss.defined() ? loss + p.sum() : p.sum();
  loss.backward();
  optimizer.step();
  EXPECT_EQ(net.matrix[0][0].item<double>(), 1 - 0.5 * 1.25);
  EXPECT_EQ(net.filter[0][0][0][0].item<double>(), 1 - 0.25 * 1.25);
  EXPECT_EQ(net.vector[0].item<double>(), 0.5);
  EXPECT_EQ(net.scale[0].item<double>(), 0.5);
}

TEST(ParameterGroups, AGroupOfNobodyIsRefused) {
  SelfCommunicator self;
  Net net;
  DataParallel parallel(net, self);
  const auto refusal = [&](std::vector<ParameterGroup> groups) {
    return message([&] { FusedSgd(parallel, {.groups = std::move(groups)}); });
  };
  EXPECT_EQ(refusal({{.pattern = "fc_weigth"}}).rfind("no parameter matches \"fc_weigth\"", 0), 0u);
  EXPECT_EQ(refusal({{.pattern = "*"}, {.pattern = "fc_*"}}),
            "all parameters \"fc_*\" belong to groups before this one");
  EXPECT_EQ(refusal({{.pattern = "fc_*", .learning_rate_factor = -1}}),
            "the learning-rate factor of the parameters \"fc_*\" is -1.000000, it must be at least 0");
}

TEST(Muon, ChosenMatricesGoToAdamw) {
  SelfCommunicator self;
  Net net;
  DataParallel parallel(net, self);
  Muon optimizer(parallel, {.adamw_parameters = {"fc_*"}});
  std::vector<std::string> names;
  for (const auto& [name, values] : optimizer.state()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"steps", "momentum.conv_weight", "exp_avg.fc_weight", "exp_avg.fc_bias",
                                             "exp_avg.norm_weight", "exp_avg_sq.fc_weight", "exp_avg_sq.fc_bias",
                                             "exp_avg_sq.norm_weight"}));
  EXPECT_EQ(message([&] { Muon(parallel, {.adamw_parameters = {"head_*"}}); }),
            "no matrix among the parameters matches \"head_*\"");
}

}  // namespace
}  // namespace lockstep
