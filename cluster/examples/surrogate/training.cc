#include "training.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/mse_loss.h>
#include <torch/nn/modules/linear.h>

#include <random>
#include <stdexcept>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/fused_adam.h"
#include "lockstep/distributed/session/session.h"

namespace {

constexpr int kBatch = 32;  // samples of each rank in a step

// Weather -> smoke.
struct Net : torch::nn::Module {
  torch::nn::Linear first = register_module("first", torch::nn::Linear(3, 64));
  torch::nn::Linear second = register_module("second", torch::nn::Linear(64, 64));
  torch::nn::Linear third = register_module("third", torch::nn::Linear(64, kCoarse* kCoarse));
  at::Tensor forward(const at::Tensor& weather) { return third(second(first(weather).tanh()).tanh()); }
};

// [n, 3], each between -1 and 1, and [n, 64], of the size of 1.
struct Rows {
  at::Tensor weather, smoke;
};

template <typename Pick>
Rows rows(int count, const Pick& sample) {
  Rows result{at::empty({count, 3}), at::empty({count, kCoarse * kCoarse})};
  auto* weather = result.weather.data_ptr<float>();
  auto* smoke = result.smoke.data_ptr<float>();
  for (int i = 0; i < count; ++i) {
    const Sample& from = sample(i);
    *weather++ = static_cast<float>((from.weather.diffusion - 0.011) / 0.009);
    *weather++ = static_cast<float>(from.weather.wind_x * 2);
    *weather++ = static_cast<float>(from.weather.wind_y * 2);
    for (const double value : from.smoke) *smoke++ = static_cast<float>(value * 10);
  }
  return result;
}

// The lowest of all ranks' values: a decision that all make alike.
std::int64_t lowest(lockstep::Communicator& communicator, std::int64_t value) {
  communicator.all_reduce({&value, 1, lockstep::DataType::int64}, lockstep::ReduceOp::min).wait();
  return value;
}

void judge(Net& net, const Inbox& inbox, Verdict& verdict) {
  const auto truth = rows(static_cast<int>(inbox.test.size()), [&](int i) -> const Sample& { return inbox.test[i]; });
  const auto known =
      rows(static_cast<int>(inbox.training.size()), [&](int i) -> const Sample& { return inbox.training[i]; });
  const double size = truth.smoke.norm().item<double>();
  verdict.error = (net.forward(truth.weather) - truth.smoke).norm().item<double>() / size;
  verdict.guess = (known.smoke.mean(0) - truth.smoke).norm().item<double>() / size;
}

Verdict train_in(lockstep::Session& session, Inbox& inbox, int last_steps) {
  Net net;
  lockstep::DataParallel model(net, session.communicator());
  lockstep::FusedAdam optimizer(model, {.learning_rate = 2e-3});
  std::mt19937_64 random(static_cast<std::uint64_t>(session.rank()));
  Verdict verdict;
  const auto step = [&] {
    std::uniform_int_distribution<std::size_t> any(0, inbox.training.size() - 1);
    const Rows batch = rows(kBatch, [&](int) -> const Sample& { return inbox.training[any(random)]; });
    model.zero_grad();
    at::mse_loss(net.forward(batch.weather), batch.smoke).backward();
    optimizer.step();
    ++verdict.steps;
  };
  // While the solver is at work. Ranks get their samples at different times but make their steps together, so whether
  // there is one is agreed on: every rank has samples, and some rank's solver has not ended.
  while (true) {
    inbox.look();
    const bool some = inbox.training.size() >= kBatch;
    if (lowest(session.communicator(), inbox.ended()) == 1) break;
    if (lowest(session.communicator(), some) == 0) continue;
    for (int i = 0; i < 10; ++i) step();
  }
  verdict.steps_meanwhile = verdict.steps;
  if (inbox.training.empty()) throw std::runtime_error("the solver sent this rank no samples");
  for (int i = 0; i < last_steps; ++i) {
    optimizer.set_learning_rate(2e-3 * (1 - static_cast<double>(i) / last_steps));
    step();
  }
  verdict.samples = static_cast<int>(inbox.training.size());
  if (session.rank() == 0) judge(net, inbox, verdict);
  return verdict;
}

}  // namespace

Verdict train(MPI_Comm trainers, Inbox& inbox, int last_steps) {
  lockstep::SessionOptions options;
  options.device = "cpu";  // the network is tiny
  options.threads = 1;
  options.seed = 1;
  lockstep::Session session(trainers, options);
  return session.guard([&] { return train_in(session, inbox, last_steps); });
}
