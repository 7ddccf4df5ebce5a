// Updates whose numbers were made beforehand, as a graph of the device's work takes them.
#include "lockstep/distributed/optimizer/step_numbers.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/nn/module.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"
#include "lockstep/distributed/optimizer/weight_average.h"

namespace lockstep {
namespace {

struct Net : torch::nn::Module {
  explicit Net(at::ScalarType type) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(5);
    const auto draw = [&](std::vector<std::int64_t> shape) { return at::randn(shape, generator).to(type); };
    matrix = register_parameter("fc_weight", draw({9, 5}));
    vector = register_parameter("fc_bias", draw({9}));
    filter = register_parameter("conv_weight", draw({4, 3, 2, 2}));
  }
  at::Tensor matrix, vector, filter;
};

// A training by torch's operators, or by the kernels; the gradients of step i depend on i alone.
struct Training {
  Training(const std::string& name, at::ScalarType type, bool by_operators = true,
           const std::string& options = "learning_rate=0.05,weight_decay=0.1")
      : net(type),
        parallel(net, self),
        optimizer(testing::optimizer_by_name(parallel, name, testing::parse_values(options))) {
    if (by_operators) optimizer->use_operators();
  }
  void backward(int i) {
    parallel.zero_grad();
    auto generator = at::make_generator<at::CPUGeneratorImpl>(100 + i);
    at::Tensor loss;
    for (const auto& p : net.parameters()) {
      const auto part = (p * at::randn(p.sizes(), generator).to(p)).sum();
      loss = loss.defined() ? loss + part : part;
    }
    loss.backward();
  }
  void step(int i, double learning_rate) {
    backward(i);
    optimizer->set_learning_rate(learning_rate);
    optimizer->step();
  }

  SelfCommunicator self;
  Net net;
  DataParallel parallel;
  std::unique_ptr<Optimizer> optimizer;
};

void expect_equal(Training& a, Training& b) {
  for (std::size_t i = 0; i < a.net.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(a.net.parameters()[i], b.net.parameters()[i])) << i;
  const auto of_a = a.optimizer->state(), of_b = b.optimizer->state();
  for (std::size_t i = 0; i < of_a.size(); ++i) EXPECT_TRUE(at::equal(of_a[i].second, of_b[i].second)) << of_a[i].first;
}

class StepNumbersOf : public ::testing::TestWithParam<std::tuple<std::string, at::ScalarType>> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, StepNumbersOf,
                         ::testing::Combine(::testing::Values("sgd", "adam", "adamw", "lamb", "lars", "muon"),
                                            ::testing::Values(at::kFloat, at::kDouble)),
                         [](const auto& p) {
                           return std::get<0>(p.param) + "_" + c10::toString(std::get<1>(p.param));
                         });

constexpr int kAhead = 3;
double rate(int step) { return 0.05 / (1 + step); }

// What a replayed graph does: the numbers of several steps are there before the first of them is taken, and what the
// host counts comes after the last.
TEST_P(StepNumbersOf, StepsListedAheadAreTheSteps) {
  const auto& [name, type] = GetParam();
  Training one_by_one(name, type), ahead(name, type);
  for (auto* training : {&one_by_one, &ahead}) training->step(0, rate(0));
  for (int launch = 0; launch < 2; ++launch) {
    const int first = 1 + launch * kAhead;
    std::vector<at::Tensor> numbers;
    for (int i = 0; i < kAhead; ++i)
      numbers.push_back(numbers_on_device(ahead.optimizer->step_numbers(rate(first + i), i),
                                          ahead.optimizer->number_type(), at::kCPU));
    for (int i = 0; i < kAhead; ++i) {
      ahead.backward(first + i);
      ahead.optimizer->step_with(numbers[static_cast<std::size_t>(i)]);
    }
    ahead.optimizer->count_steps(kAhead);
    for (int i = 0; i < kAhead; ++i) one_by_one.step(first + i, rate(first + i));
  }
  expect_equal(one_by_one, ahead);
}

// torch's fused operators round in another order than the kernels: a few units in the last place per step. Muon's
// iteration amplifies them. Its matrices are float32 here as on the kernels' side.
TEST_P(StepNumbersOf, OperatorsDoWhatKernelsDo) {
  const auto& [name, type] = GetParam();
  const bool is_float = type == at::kFloat;
  Training kernels(name, type, /*by_operators=*/false), operators(name, type);
  for (int i = 0; i < 20; ++i) kernels.step(i, rate(i)), operators.step(i, rate(i));
  for (std::size_t i = 0; i < kernels.net.parameters().size(); ++i) {
    const auto a = kernels.net.parameters()[i], b = operators.net.parameters()[i];
    EXPECT_TRUE(at::allclose(a, b, is_float ? 2e-5 : 1e-12, is_float ? 2e-6 : 1e-13))
        << i << ": " << (a - b).abs().max().item<double>();
  }
}

TEST(StepNumbers, GroupsHaveTheirOwnInOneTensor) {
  SelfCommunicator self;
  Net by_kernels(at::kFloat), by_operators(at::kFloat);
  const SgdOptions options{
      .learning_rate = 0.5,
      .momentum = 0.9,
      .weight_decay = 0.25,
      .groups = {{.pattern = "conv_*", .learning_rate_factor = 0.5}, {.vectors_weight_decay = 0.0}}};
  for (auto* net : {&by_kernels, &by_operators}) {
    DataParallel parallel(*net, self);
    FusedSgd optimizer(parallel, options);
    if (net == &by_operators) optimizer.use_operators();
    for (int i = 0; i < 3; ++i) {
      parallel.zero_grad();
      (net->matrix.sum() + net->vector.sum() + net->filter.square().sum()).backward();
      optimizer.step();
    }
    const auto numbers = optimizer.step_numbers(2);
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), 1.0), 1) << "the filters' own rate";
    EXPECT_EQ(std::count(numbers.begin(), numbers.end(), 2.0), static_cast<long>(numbers.size()) - 1);
  }
  for (std::size_t i = 0; i < by_kernels.parameters().size(); ++i)
    EXPECT_TRUE(at::allclose(by_kernels.parameters()[i], by_operators.parameters()[i], 1e-6, 1e-6)) << i;
}

TEST(StepNumbers, AnAverageWithItsNumberIsTheAverage) {
  SelfCommunicator self;
  for (const bool warms_up : {true, false}) {
    Training training("sgd", at::kFloat);
    WeightAverage direct(training.parallel, {.decay = 0.7, .warms_up = warms_up}),
        with_numbers(training.parallel, {.decay = 0.7, .warms_up = warms_up});
    for (int i = 0; i < 6; ++i) {
      // Listed for three updates at a time, counted afterwards.
      static std::vector<at::Tensor> numbers;
      if (i % 3 == 0) {
        numbers.clear();
        for (int k = 0; k < 3; ++k)
          numbers.push_back(numbers_on_device({with_numbers.step_number(k)}, with_numbers.number_type(), at::kCPU));
      }
      training.step(i, 0.5);
      direct.update();
      with_numbers.update_with(numbers[static_cast<std::size_t>(i % 3)][0]);
      if (i % 3 == 2) with_numbers.count_updates(3);
    }
    const auto a = direct.state(), b = with_numbers.state();
    for (std::size_t i = 0; i < a.size(); ++i)
      EXPECT_TRUE(at::allclose(a[i].second, b[i].second, 1e-6, 1e-7)) << a[i].first;
    EXPECT_EQ(a[0].second.item<int>(), 6);
    EXPECT_EQ(b[0].second.item<int>(), 6);
  }
}

TEST(StepNumbers, OfAnotherUpdateAreRefused) {
  Training training("adamw", at::kFloat);
  training.step(0, 0.1);
  auto numbers = training.optimizer->step_numbers(0.1);
  numbers.push_back(1);
  training.backward(1);
  try {
    training.optimizer->step_with(numbers_on_device(numbers, at::kFloat, at::kCPU));
    ADD_FAILURE();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.error().kind, ErrorKind::internal);
    EXPECT_NE(failure.error().what.find("has not read all of its 6 numbers"), std::string::npos) << failure.what();
  }
}

}  // namespace
}  // namespace lockstep
