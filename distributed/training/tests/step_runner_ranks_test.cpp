// The host's part of recorded steps: batches and numbers put in place for several steps, launches between stops, what
// is counted afterwards. The work itself is here run again for each replay, by the CPU's operators; a GPU's graph is
// held against the same in step_graph_test.
#include "lockstep/distributed/training/step_runner.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>

#include "listed_batches.h"
#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/tests/optimizer_by_name.h"
#include "lockstep/distributed/training/generators.h"
#include "shared_session.h"

namespace lockstep {
namespace {

using lockstep::testing::ListedBatches;
using lockstep::testing::session;

constexpr std::int64_t kBatch = 8, kSamples = 8 * 13 + 5;  // an uneven last batch
constexpr int kEpochs = 3;

struct Net : torch::nn::Module {
  Net() {
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

// Runs the work again.
struct RepeatedWork : StepGraph {
  explicit RepeatedWork(int& replays) : replays_(replays) {}
  void capture(const std::function<void()>& work) override { work_ = work; }
  void replay() override { ++replays_, work_(); }
  int& replays_;
  std::function<void()> work_;
};

struct How {
  std::string optimizer = "sgd";
  std::int64_t accumulate = 1;
  std::int64_t steps_per_launch = 1;
  bool recorded = true, sharded = false, averages = false, clips = false;
};

struct Training {
  explicit Training(const How& how) : Training(how, {}) {
    options.make_graph = [this](const StepGraph* companion) {
      EXPECT_EQ(companion != nullptr, !graphs++ ? false : true);
      return std::make_unique<RepeatedWork>(replays);
    };
    make(how);
  }
  Training(const How& how, StepRunnerOptions chosen)
      : options(std::move(chosen)),
        source(inputs(), targets(), kBatch, session().rank(), session().world_size()),
        model(*net, session().communicator(), {.shard_optimizer = how.sharded}),
        optimizer(testing::optimizer_by_name(model, how.optimizer, {{"learning_rate", 0.05}})),
        guard({.clip_norm = how.clips ? std::optional(0.3) : std::nullopt}),
        average(model, {.decay = 0.9}),
        step({[this](const at::Tensor& x) { return net->forward(x); }, model, *optimizer, source, meter, at::kCPU,
              "fp32", how.accumulate, false, &guard, how.averages ? &average : nullptr}) {
    optimizer->use_operators();
  }
  void make(const How& how) {
    options.problem = how.recorded ? "" : "not to be recorded";
    options.steps_per_launch = how.steps_per_launch;
    options.say = [this](const std::string& line) { said.push_back(line); };
    runner.emplace(session(), step, options);
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
    set_generator_states(at::kCPU, {}, 77 + static_cast<std::uint64_t>(session().rank()));
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

  StepRunnerOptions options;
  std::shared_ptr<Net> net = std::make_shared<Net>();
  ListedBatches source;
  DataParallel model;
  std::unique_ptr<Optimizer> optimizer;
  GradientGuard guard;
  WeightAverage average;
  LossMeter meter;
  TrainStep step;
  std::optional<StepRunner> runner;
  std::vector<std::string> said;
  std::vector<double> losses;
  int replays = 0, graphs = 0;
  std::int64_t steps = 0, samples = 0, counted = 0;
};

void expect_equal(Training& found, Training& wanted) {
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

class RecordedSteps : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Optimizers, RecordedSteps, ::testing::Values("sgd", "adam", "adamw", "lamb", "lars", "muon"),
                         [](const auto& name) { return name.param; });

TEST_P(RecordedSteps, AreTheStepsBitForBit) {
  Training plain({.optimizer = GetParam(), .recorded = false});
  plain.train();
  EXPECT_EQ(plain.replays, 0);
  for (const std::int64_t at_once : {1, 4}) {
    Training recorded({.optimizer = GetParam(), .steps_per_launch = at_once});
    recorded.train();
    expect_equal(recorded, plain);
    // Three epochs of 13 full steps and an uneven one; three steps to warm up, step 21 alone.
    EXPECT_EQ(recorded.replays, at_once == 1 ? 39 - 4 : 4 + 6 + 4) << at_once;
    EXPECT_EQ(recorded.graphs, at_once == 1 ? 1 : 2);
    EXPECT_TRUE(recorded.runner->report().captured);
    EXPECT_EQ(recorded.runner->report().reason, "");
    EXPECT_EQ(recorded.said, std::vector<std::string>{"steps are captured: " + std::to_string(at_once) +
                                                      " per launch of a CUDA graph"});
  }
}

TEST(RecordedSteps, WithAllThatComesInAStep) {
  How how{
      .optimizer = "adamw", .accumulate = 2, .steps_per_launch = 3, .sharded = true, .averages = true, .clips = true};
  Training recorded(how);
  how.recorded = false;
  Training plain(how);
  for (auto* training : {&recorded, &plain}) training->train(/*stop_every=*/5);
  expect_equal(recorded, plain);
  EXPECT_GT(recorded.replays, 0);
  const auto found = recorded.average.state(), wanted = plain.average.state();
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i].second.defined()) {
      EXPECT_NEAR((found[i].second - wanted[i].second).abs().max().item<double>(), 0, 1e-6) << found[i].first;
    }
}

// Where one rank cannot record, none replays, and the training goes on as if nobody had tried.
TEST(RecordedSteps, AFailureToRecordLosesNothing) {
  struct Refusing : StepGraph {
    void capture(const std::function<void()>&) override {
      if (session().rank() == session().world_size() - 1)
        fail(ErrorKind::environment, "the step cannot be captured: no room");
    }
    void replay() override { ADD_FAILURE() << "nothing was recorded"; }
  };
  for (const bool required : {false, true}) {
    const How how{.averages = true};
    Training refused(how, {});
    refused.options.make_graph = [](const StepGraph*) { return std::make_unique<Refusing>(); };
    refused.options.required = required;
    refused.make(how);
    if (required) {
      try {
        refused.train();
        ADD_FAILURE() << "--capture on was given";
      } catch (const AgreedFailure& failure) {
        EXPECT_EQ(failure.error().kind, ErrorKind::usage);
        EXPECT_NE(failure.error().what.find("no room"), std::string::npos);
      }
      continue;
    }
    Training plain({.recorded = false, .averages = true});
    refused.train();
    plain.train();
    expect_equal(refused, plain);
    const int last = session().world_size() - 1;
    const std::string who = last > 0 ? "rank " + std::to_string(last) + ": " : "";
    EXPECT_EQ(refused.said,
              std::vector<std::string>{"steps are not captured: " + who + "the step cannot be captured: no room"});
    EXPECT_FALSE(refused.runner->report().captured);
    EXPECT_FALSE(refused.runner->may_capture());
  }
}

TEST(RecordedSteps, AParameterWithoutGradientIsNamed) {
  const How how;
  Training training(how, {});
  training.options.make_graph = [](const StepGraph*) -> std::unique_ptr<StepGraph> {
    ADD_FAILURE() << "there is no use in trying";
    return nullptr;
  };
  training.net->forward(at::randn({1, 5}));
  TrainStep partly({[&](const at::Tensor& x) { return training.net->a(x).narrow(1, 0, 3); }, training.model,
                    *training.optimizer, training.source, training.meter, at::kCPU});
  training.options.say = [&](const std::string& line) { training.said.push_back(line); };
  StepRunner runner(session(), partly, training.options);
  for (int i = 0; i < 5; ++i) runner({.step = i + 1, .until_stop = 100, .learning_rate = [](auto) { return 0.1; }});
  ASSERT_EQ(training.said.size(), 1u);
  EXPECT_NE(training.said[0].find("parameter 'b.weight' got no gradient"), std::string::npos) << training.said[0];
}

}  // namespace
}  // namespace lockstep
