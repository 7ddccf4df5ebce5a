// One update by each optimizer, beside LibTorch's own where it has one (its loop over parameters) and beside FusedSgd
// where it has none. Both run in turns in one process, on one thread, over the same made-up gradients.
//   optimizer_step [PARAMETERS OF EACH [ELEMENTS [PAIRS]]]
// Prints pairs and the ratio of neighbouring measurements (median, min .. max; above 1: Lockstep is faster).
#include <ATen/Parallel.h>
#include <ATen/ops/randn.h>
#include <torch/nn/module.h>
#include <torch/optim/adam.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/optimizer/fused_adam.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/distributed/optimizer/gradient_norm.h"
#include "lockstep/distributed/optimizer/lamb.h"
#include "lockstep/distributed/optimizer/lars.h"
#include "lockstep/distributed/optimizer/muon.h"

namespace {

struct Parameters : torch::nn::Module {
  Parameters(std::int64_t parameter_count, std::int64_t elements) {
    for (std::int64_t i = 0; i < parameter_count; ++i)
      register_parameter("p" + std::to_string(i), at::randn({elements / 64, 64}));
  }
  void backward() {
    for (auto& p : parameters()) p.mutable_grad() = at::randn(p.sizes());
  }
};

double seconds(const std::function<void()>& step, int repeats) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) step();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
}

void compare(const char* name, const char* peer_name, const std::function<void()>& peer,
             const std::function<void()>& ours, int pairs) {
  const int repeats = std::max(1, static_cast<int>(0.01 / seconds(ours, 3)));
  std::vector<double> ratios;
  double fastest[2] = {1e9, 1e9};
  for (int pair = 0; pair <= pairs; ++pair) {
    const double theirs = seconds(peer, repeats), mine = seconds(ours, repeats);
    if (pair == 0) continue;
    ratios.push_back(theirs / mine);
    fastest[0] = std::min(fastest[0], theirs);
    fastest[1] = std::min(fastest[1], mine);
  }
  std::sort(ratios.begin(), ratios.end());
  std::printf("%-10s %-24s pairs %zu, median %5.2f, %5.2f .. %5.2f; fastest %9.1f and %9.1f us\n", name, peer_name,
              ratios.size(), ratios[ratios.size() / 2], ratios.front(), ratios.back(), fastest[0] * 1e6,
              fastest[1] * 1e6);
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t count = argc > 1 ? std::atoll(argv[1]) : 20;
  const std::int64_t elements = argc > 2 ? std::atoll(argv[2]) : 1 << 19;
  const int pairs = argc > 3 ? std::atoi(argv[3]) : 11;
  at::set_num_threads(1);
  Parameters plain(count, elements), flat(count, elements);
  lockstep::SelfCommunicator self;
  lockstep::DataParallel model(flat, self);
  plain.backward();
  at::Tensor loss;
  for (const auto& p : flat.parameters()) loss = loss.defined() ? loss + (p * p).sum() : (p * p).sum();
  loss.backward();
  std::printf("%lld parameters of %lld values\n", static_cast<long long>(count), static_cast<long long>(elements));

  torch::optim::SGD torch_sgd(plain.parameters(), torch::optim::SGDOptions(1e-6).momentum(0.9));
  torch::optim::Adam torch_adam(plain.parameters(), torch::optim::AdamOptions(1e-6));
  torch::optim::AdamW torch_adamw(plain.parameters(), torch::optim::AdamWOptions(1e-6));
  lockstep::FusedSgd sgd(model, {.learning_rate = 1e-6, .momentum = 0.9});
  lockstep::FusedAdam adam(model, {.learning_rate = 1e-6, .decoupled = false});
  lockstep::FusedAdam adamw(model, {.learning_rate = 1e-6, .weight_decay = 0.01});
  lockstep::Lamb lamb(model, {.learning_rate = 1e-6, .weight_decay = 0.01});
  lockstep::Lars lars(model, {.learning_rate = 1e-6, .weight_decay = 0.01});
  const auto step = [](auto& optimizer) { return [&optimizer] { optimizer.step(); }; };
  compare("SGD", "/ torch::optim::SGD", step(torch_sgd), step(sgd), pairs);
  compare("Adam", "/ torch::optim::Adam", step(torch_adam), step(adam), pairs);
  compare("AdamW", "/ torch::optim::AdamW", step(torch_adamw), step(adamw), pairs);
  compare("LAMB", "/ FusedSgd", step(sgd), step(lamb), pairs);
  compare("LARS", "/ FusedSgd", step(sgd), step(lars), pairs);
  compare(
      "SGD clip", "/ FusedSgd", step(sgd), [&] { sgd.step(lockstep::clip_gradients(model, 1).scale); }, pairs);
  if (count * elements <= 1 << 20) {
    lockstep::Muon muon(model, {.learning_rate = 1e-6});
    compare("Muon", "/ FusedSgd", step(sgd), step(muon), pairs);
  }
}
