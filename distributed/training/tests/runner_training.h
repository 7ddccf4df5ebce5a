// A training whose steps a StepRunner makes, recorded or as ever, on the session's device: for tests that hold the two
// against each other.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "listed_batches.h"
#include "lockstep/distributed/gradients/generators.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"
#include "lockstep/distributed/training/step_runner.h"

namespace lockstep::testing {

inline constexpr std::int64_t kBatch = 8, kSamples = 8 * 13 + 5;  // an uneven last batch
inline constexpr int kEpochs = 3;

struct DropoutNet : torch::nn::Module {
  DropoutNet() {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(4711);
    for (auto& parameter : parameters()) parameter.detach().normal_(0, 0.5, generator);
  }
  // By sums: the bits of a matrix product may depend on where its factors lie in memory.
  static at::Tensor apply(const torch::nn::Linear& layer, const at::Tensor& x) {
    return (x.unsqueeze(1) * layer->weight).sum(-1) + layer->bias;
  }
  at::Tensor forward(const at::Tensor& x) { return apply(b, at::dropout(apply(a, x).tanh(), 0.2, is_training())); }
  torch::nn::Linear a{register_module("a", torch::nn::Linear(5, 7))}, b{register_module("b", torch::nn::Linear(7, 3))};
};

struct RunnerCase {
  std::string optimizer = "sgd";
  std::int64_t accumulate = 1;
  std::int64_t steps_per_launch = 1;
  bool recorded = true, sharded = false, averages = false, clips = false;
};

struct RunnerTraining {
  RunnerTraining(Session& chosen_session, const RunnerCase& how)
      : session(chosen_session),
        net(make_net(session.device())),
        source(inputs(), targets(), kBatch, session.rank(), session.world_size()),
        model(*net, session.communicator(), {.shard_optimizer = how.sharded}),
        optimizer(optimizer_by_name(model, how.optimizer, {{"learning_rate", 0.05}})),
        guard({.clip_norm = how.clips ? std::optional(0.3) : std::nullopt}),
        average(model, {.decay = 0.9}),
        step({[this](const at::Tensor& x) { return forward(x); }, model, *optimizer, source, meter, session.device(),
              "fp32", how.accumulate, false, &guard, how.averages ? &average : nullptr}) {
    optimizer->use_operators();
  }
  // With `options` as they are then.
  void make_runner(const RunnerCase& how) {
    options.problem = how.recorded ? "" : "not to be recorded";
    options.steps_per_launch = how.steps_per_launch;
    options.say = [this](const std::string& line) { said.push_back(line); };
    runner.emplace(session, step, options);
  }

  static std::shared_ptr<DropoutNet> make_net(c10::Device device) {
    const auto net = std::make_shared<DropoutNet>();
    net->to(device);
    return net;
  }
  static at::Tensor inputs() {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(815);
    return at::randn({kSamples, 5}, generator);
  }
  static at::Tensor targets() {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(816);
    return at::randint(3, {kSamples}, generator, at::kLong);
  }
  static double rate(std::int64_t step) { return 0.1 / (1.0 + 0.1 * static_cast<double>(step)); }

  void train(std::int64_t stop_every = 1000) {
    set_generator_states(session.device(), {}, 77 + static_cast<std::uint64_t>(session.rank()));
    const auto stream = runner->enter_stream();
    std::int64_t done = 0;
    for (int epoch = 0; epoch < kEpochs; ++epoch) {
      for (source.seek({epoch, 0}); !step.epoch_over();) {
        const StepResult result =
            (*runner)({.step = done + 1,
                       .until_stop = std::min(stop_every - done % stop_every, done < 20 ? 20 - done : stop_every),
                       .alone = done == 20,
                       .learning_rate = [&](std::int64_t ahead) { return rate(done + ahead); }});
        if (result.steps > 1) {
          EXPECT_EQ((done + result.steps - 1) / stop_every, done / stop_every) << "across a stop";
        }
        done += result.steps, samples += result.global_samples;
        EXPECT_EQ(optimizer->learning_rate(), rate(done - 1));
      }
      losses.push_back(meter.sums().loss);
      EXPECT_GT(meter.sums().samples, 0);
      counted += meter.sums().samples;
      meter.reset();
    }
    steps = done;
  }

  Session& session;
  StepRunnerOptions options;
  std::shared_ptr<DropoutNet> net;
  ListedBatches source;
  DataParallel model;
  std::unique_ptr<Optimizer> optimizer;
  std::function<at::Tensor(const at::Tensor&)> forward = [this](const at::Tensor& x) { return net->forward(x); };
  GradientGuard guard;
  WeightAverage average;
  LossMeter meter;
  TrainStep step;
  std::optional<StepRunner> runner;
  std::vector<std::string> said;
  std::vector<double> losses;
  std::int64_t steps = 0, samples = 0, counted = 0;
};

inline void expect_equal(RunnerTraining& found, RunnerTraining& wanted) {
  for (std::size_t i = 0; i < found.net->parameters().size(); ++i)
    EXPECT_TRUE(at::equal(found.net->parameters()[i], wanted.net->parameters()[i])) << i;
  const auto state = found.optimizer->state(), expected = wanted.optimizer->state();
  for (std::size_t i = 0; i < state.size(); ++i)
    if (state[i].second.defined()) {
      EXPECT_TRUE(at::equal(state[i].second, expected[i].second)) << state[i].first;
    }
  EXPECT_EQ(found.steps, wanted.steps);
  EXPECT_EQ(found.samples, wanted.samples);
  EXPECT_EQ(found.counted, wanted.counted);
  for (std::size_t i = 0; i < found.losses.size(); ++i) EXPECT_NEAR(found.losses[i], wanted.losses[i], 1e-6);
}

}  // namespace lockstep::testing
