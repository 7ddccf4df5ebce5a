// N ranks do what one rank does with the whole batch: steps, evaluation, state that is saved and put back.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <functional>
#include <memory>

#include "listed_batches.h"
#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/gradients/generators.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/training/evaluation.h"
#include "lockstep/distributed/training/train_step.h"
#include "lockstep/distributed/training/training_state.h"
#include "shared_session.h"

namespace lockstep {
namespace {

using lockstep::testing::ListedBatches;
using lockstep::testing::session;

struct Net : torch::nn::Module {
  Net() {
    a = register_module("a", torch::nn::Linear(5, 7));
    b = register_module("b", torch::nn::Linear(7, 3));
    auto generator = at::make_generator<at::CPUGeneratorImpl>(4711);
    for (auto& parameter : parameters()) parameter.detach().normal_(0, 0.5, generator);
  }
  at::Tensor forward(const at::Tensor& x) { return b(a(x).tanh()); }
  torch::nn::Linear a{nullptr}, b{nullptr};
};

struct Samples {
  explicit Samples(std::int64_t count) {
    auto generator = at::make_generator<at::CPUGeneratorImpl>(815);
    inputs = at::randn({count, 5}, generator);
    targets = at::randint(3, {count}, generator, at::kLong);
  }
  at::Tensor inputs, targets;
};

// A model in training on `communicator`.
struct Training {
  Training(Communicator& communicator, const Samples& samples, std::int64_t batch, std::int64_t accumulate,
           bool skewed = false)
      : source(samples.inputs, samples.targets, batch, communicator.rank(), communicator.size(), skewed),
        model(*net, communicator),
        optimizer(model, {.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01}),
        step({[this](const at::Tensor& x) { return net->forward(x); }, model, optimizer, source, meter, at::kCPU,
              "fp32", accumulate}) {}

  void epoch() {
    for (int k = 1; !step.epoch_over(); ++k) step(k);
  }
  std::shared_ptr<Net> net = std::make_shared<Net>();
  ListedBatches source;
  DataParallel model;
  FusedSgd optimizer;
  LossMeter meter;
  TrainStep step;
};

void expect_close(const Net& net, const Net& truth) {
  const auto mine = state_dict(net), theirs = state_dict(truth);
  for (std::size_t i = 0; i < mine.size(); ++i)
    EXPECT_TRUE(at::allclose(mine[i].second, theirs[i].second, 1e-5, 1e-6)) << mine[i].first;
}

TEST(TrainStep, RanksEqualOneRankWithTheWholeBatch) {
  const Samples samples(43);  // batches of 8: the last has 3, so with 4 ranks one rank gets nothing
  SelfCommunicator alone;
  for (const std::int64_t accumulate : {1, 2, 3, 100}) {
    Training ranks(session().communicator(), samples, 8, accumulate), truth(alone, samples, 8, accumulate);
    ranks.epoch();
    truth.epoch();
    expect_close(*ranks.net, *truth.net);
  }
}

TEST(TrainStep, MicroBatchesEqualTheirSum) {
  const Samples samples(30);
  SelfCommunicator alone;
  Training small(session().communicator(), samples, 3, 4), large(alone, samples, 12, 1);
  small.epoch();
  large.epoch();
  expect_close(*small.net, *large.net);
}

TEST(TrainStep, RanksWithoutSamplesTakePart) {
  const Samples samples(20);
  SelfCommunicator alone;
  Training ranks(session().communicator(), samples, 4, 2, /*skewed=*/true), truth(alone, samples, 4, 2);
  ranks.epoch();
  truth.epoch();
  expect_close(*ranks.net, *truth.net);
}

TEST(TrainStep, EndsTheEpochInOrder) {
  Training training(session().communicator(), Samples(10), 4, 1);
  EXPECT_EQ(training.step(1).global_samples, 4);
  EXPECT_EQ(training.step(2).global_samples, 4);
  EXPECT_FALSE(training.step.epoch_over());
  EXPECT_EQ(training.step(3).global_samples, 2);
  EXPECT_TRUE(training.step.epoch_over());
  EXPECT_EQ(training.step(4).global_samples, 0);
}

TEST(Evaluation, CountsEverySampleOnce) {
  const Samples samples(37);
  Net net;
  SelfCommunicator alone;
  const Forward forward = [&](const at::Tensor& x) { return net.forward(x); };
  ListedBatches all(samples.inputs, samples.targets, 37, 0, 1);
  const Evaluation truth = evaluate(net, forward, all, alone, at::kCPU);
  std::int64_t correct = 0;
  for (std::int64_t i = 0; i < 37; ++i)
    correct += net.forward(samples.inputs.narrow(0, i, 1)).argmax(1).item<std::int64_t>() ==
               samples.targets[i].item<std::int64_t>();
  EXPECT_EQ(truth.correct, correct);
  for (const bool skewed : {false, true}) {
    ListedBatches mine(samples.inputs, samples.targets, 5, session().rank(), session().world_size(), skewed);
    net.train();
    const Evaluation found =
        evaluate(net, forward, mine, session().communicator(), at::kCPU, /*pieces=*/skewed ? 3 : 1);
    EXPECT_EQ(found.samples, 37);
    EXPECT_EQ(found.correct, correct);
    EXPECT_NEAR(found.loss, truth.loss, 1e-6);
    EXPECT_TRUE(net.is_training());
  }
}

TEST(Evaluation, LeavesFrozenPartsFrozen) {
  const Samples samples(6);
  Net net;
  net.train();
  net.b->eval();  // as one does to keep the statistics of a normalisation
  ListedBatches source(samples.inputs, samples.targets, 6, session().rank(), session().world_size());
  const Forward forward = [&](const at::Tensor& x) {
    EXPECT_FALSE(net.is_training() || net.a->is_training() || net.b->is_training());
    return net.forward(x);
  };
  evaluate(net, forward, source, session().communicator(), at::kCPU);
  EXPECT_TRUE(net.is_training());
  EXPECT_TRUE(net.a->is_training());
  EXPECT_FALSE(net.b->is_training());
}

TEST(TrainingState, GoesOnAsIfNothingHadHappened) {
  const Samples samples(40);
  auto& communicator = session().communicator();
  at::manual_seed(100 + static_cast<std::uint64_t>(session().rank()));
  Training first(communicator, samples, 8, 1);
  first.step(1);
  first.step(2);
  LiveState live{session(), *first.net, first.model, {&first.optimizer}, 0.1, first.source, first.meter};
  Checkpoint saved = capture(live);
  saved.step = 2;
  const float drawn = at::randn({1}).item<float>();
  first.step(3);  // the checkpoint must not change with the live tensors
  const LossSums sums = first.meter.sums();

  Training second(communicator, samples, 8, 1);
  LiveState other{session(), *second.net, second.model, {&second.optimizer}, 0.1, second.source, second.meter};
  share(session(), saved);
  apply(saved, other, 0, "test");
  EXPECT_EQ(at::randn({1}).item<float>(), drawn) << "random numbers go on";
  second.step(3);
  EXPECT_EQ(weights_sha256(state_dict(*second.net)), weights_sha256(state_dict(*first.net)));
  EXPECT_EQ(second.meter.sums().loss, sums.loss);
  EXPECT_EQ(second.source.position().consumed, 24);
}

TEST(TrainingState, EveryRankGetsAllOfIt) {
  Checkpoint checkpoint;
  if (session().rank() == 0) {
    const at::Tensor matrix = at::randn({3, 5});
    checkpoint.step = 7;
    checkpoint.config = "steps = 3\nmodel = \"x\"\n";
    checkpoint.loss_window = {{.loss = 0.5, .samples = 3}};
    checkpoint.state_dict = {{"a.weight", matrix.t()},
                             {"empty", at::zeros({0, 4})},
                             {"count", at::zeros({}, at::kLong)},
                             {"half", matrix.to(at::kBFloat16)}};
    checkpoint.optimizer = {{"momentum.a.weight", matrix}};
    checkpoint.rng = {{"cpu", at::zeros({1, 13}, at::kByte)}, {"cuda", at::zeros({1, 16}, at::kByte)}};
  }
  const auto text = [](const Checkpoint& c) {
    std::string all = std::to_string(c.step) + c.config + std::to_string(c.loss_window.size());
    for (const NamedTensors* list : {&c.state_dict, &c.optimizer, &c.rng})
      for (const auto& [name, tensor] : *list)
        all += " " + name + " " + c10::toString(tensor.scalar_type()) + std::to_string(tensor.dim()) + "x" +
               std::to_string(tensor.numel()) + " " + weights_sha256({{name, tensor}});
    return all;
  };
  std::string expected = text(checkpoint);
  share(session(), checkpoint);
  session().broadcast_text(expected);
  EXPECT_EQ(text(checkpoint), expected);
}

TEST(TrainingState, OnlyRankZeroHoldsTheWholeState) {
  Training training(session().communicator(), Samples(40), 8, 1);
  LiveState live{session(), *training.net, training.model, {&training.optimizer}, 0.1, training.source, training.meter};
  const Checkpoint saved = capture(live);
  const bool owner = session().rank() == 0;
  EXPECT_EQ(saved.loss_window.size(), owner ? static_cast<std::size_t>(session().world_size()) : 0);
  EXPECT_EQ(saved.rng.size(), owner ? 1u : 0u);
  if (!owner) return;
  EXPECT_EQ(saved.rng.front().second.size(0), session().world_size());
}

TEST(Generators, AGpuThatIsNotThereIsNamed) {
  if (at::hasCUDA()) {
    const NamedTensors before = generator_states(c10::Device(c10::kCUDA, 0));
    ASSERT_EQ(before.size(), 2u);
    const at::Tensor drawn = at::randn({4}, at::TensorOptions(at::kCUDA)).cpu();
    set_generator_states(c10::Device(c10::kCUDA, 0), before, 0);
    EXPECT_TRUE(at::allclose(at::randn({4}, at::TensorOptions(at::kCUDA)).cpu(), drawn, 0, 0));
    return;
  }
  try {
    generator_states(c10::Device(c10::kCUDA, 0));
    ADD_FAILURE() << "there is no GPU";
  } catch (const Failure& failure) {
    EXPECT_NE(failure.error().what.find("cuda:0: LibTorch finds no GPU"), std::string::npos) << failure.what();
  }
}

// Each rank's batches have statistics of their own; rank 0's count.
TEST(TrainingState, StatisticsOfNormalisationsGoOn) {
  struct Normalised : torch::nn::Module {
    Normalised() {
      a = register_module("a", torch::nn::Linear(5, 7));
      norm = register_module("norm", torch::nn::BatchNorm1d(7));
      b = register_module("b", torch::nn::Linear(7, 3));
      auto generator = at::make_generator<at::CPUGeneratorImpl>(4711);
      for (auto& parameter : parameters()) parameter.detach().normal_(0, 0.5, generator);
    }
    at::Tensor forward(const at::Tensor& x) { return b(norm(a(x)).tanh()); }
    torch::nn::Linear a{nullptr}, b{nullptr};
    torch::nn::BatchNorm1d norm{nullptr};
  };
  const Samples samples(40);
  auto& communicator = session().communicator();
  struct Part {
    Part(Communicator& comm, const Samples& samples)
        : source(samples.inputs, samples.targets, 8, comm.rank(), comm.size()),
          model(*net, comm),
          optimizer(model, {.learning_rate = 0.1, .momentum = 0.9}),
          step({[this](const at::Tensor& x) { return net->forward(x); }, model, optimizer, source, meter, at::kCPU}) {}
    std::string tested(const Samples& samples) {
      model.broadcast_buffers();
      ListedBatches test(samples.inputs, samples.targets, 40, session().rank(), session().world_size());
      const Forward forward = [this](const at::Tensor& x) { return net->forward(x); };
      const Evaluation found = evaluate(*net, forward, test, model.communicator(), at::kCPU);
      return std::to_string(found.loss) + " " + std::to_string(found.correct) + " " + weights_sha256(state_dict(*net));
    }
    std::shared_ptr<Normalised> net = std::make_shared<Normalised>();
    ListedBatches source;
    DataParallel model;
    FusedSgd optimizer;
    LossMeter meter;
    TrainStep step;
  };
  Part first(communicator, samples), second(communicator, samples);
  first.step(1);
  first.step(2);
  LiveState live{session(), *first.net, first.model, {&first.optimizer}, 0.1, first.source, first.meter};
  Checkpoint saved = capture(live);
  saved.step = 2;
  first.step(3);
  const std::string after_step = weights_sha256(state_dict(*first.net));  // this rank's own statistics among them
  const std::string expected = first.tested(samples);
  std::string of_rank_0 = expected;
  session().broadcast_text(of_rank_0);
  EXPECT_EQ(expected, of_rank_0) << "every rank has tested the same model";

  LiveState other{session(), *second.net, second.model, {&second.optimizer}, 0.1, second.source, second.meter};
  share(session(), saved);
  apply(saved, other, 0, "test");
  second.step(3);
  EXPECT_EQ(weights_sha256(state_dict(*second.net)), after_step);
  EXPECT_EQ(second.tested(samples), expected);
}

TEST(TrainingState, AnotherNumberOfRanksContinuesTheSums) {
  const Samples samples(40);
  Training training(session().communicator(), samples, 8, 1);
  LiveState live{session(), *training.net, training.model, {&training.optimizer}, 0.1, training.source, training.meter};
  training.step(1);
  Checkpoint saved = capture(live);
  share(session(), saved);
  saved.rng.front().second = at::cat({saved.rng.front().second, saved.rng.front().second.narrow(0, 0, 1)});
  saved.loss_window.push_back({.loss = 10, .samples = 2});  // as if one more rank had written it
  double expected = 0;
  for (const auto& window : saved.loss_window) expected += window.loss;
  apply(saved, live, 0, "test");
  EXPECT_EQ(training.meter.sums().loss, session().rank() == 0 ? expected : 0);
  EXPECT_EQ(training.source.position().consumed, 8);
}

TEST(TrainingState, WhatDoesNotFitChangesNothing) {
  const Samples samples(40);
  Training training(session().communicator(), samples, 8, 1);
  LiveState live{session(), *training.net, training.model, {&training.optimizer}, 0.1, training.source, training.meter};
  training.step(1);
  Checkpoint sound = capture(live);
  share(session(), sound);
  training.step(2);
  const std::string weights = weights_sha256(state_dict(*training.net));
  const std::string optimizer = weights_sha256(training.optimizer.state());
  const auto refused = [&](const std::function<void(Checkpoint&)>& spoil, const std::string& word) {
    Checkpoint checkpoint = sound;
    spoil(checkpoint);
    try {
      apply(checkpoint, live, 0, "test");
      ADD_FAILURE() << "accepted, looking for " << word;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.error().kind, ErrorKind::usage);
      EXPECT_NE(failure.error().message().find(word), std::string::npos) << failure.error().message();
    }
    EXPECT_EQ(weights_sha256(state_dict(*training.net)), weights) << word;
    EXPECT_EQ(weights_sha256(training.optimizer.state()), optimizer) << word;
    EXPECT_EQ(training.source.position().consumed, 16) << word;
  };
  refused([](Checkpoint& c) { c.optimizer.front().second = at::zeros({5}, at::kLong); }, "steps");
  refused([](Checkpoint& c) { c.position.consumed = 41; }, "41 of 40");
  refused([](Checkpoint& c) { c.position.epoch = -1; }, "epoch -1");
  refused([](Checkpoint& c) { c.rng.front().second = at::zeros({session().world_size(), 3}, at::kByte); }, ", 3]");
}

}  // namespace
}  // namespace lockstep
