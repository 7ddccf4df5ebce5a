// One training step of the tutorial's network on one rank: LibTorch as its tutorials use it, beside Lockstep's model,
// DataParallel and FusedSgd. Both run in turns in one process, on one thread, from equal weights and batches.
//   train_step [BATCH [PAIRS]]
// Prints pairs, the ratio of neighbouring measurements (median, min .. max; above 1: Lockstep is faster) and whether
// both end with equal weights.
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <torch/optim/sgd.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "lockstep/distributed/communicator/self_communicator.h"
#include "lockstep/distributed/optimizer/fused_sgd.h"
#include "lockstep/models/cifar_net.h"
#include "peers/tutorial_net.h"

namespace {

struct Batch {
  at::Tensor input, target;
};

class ByHand {
 public:
  void step(const Batch& batch) {
    optimizer_.zero_grad();
    at::cross_entropy_loss(net_.forward(batch.input), batch.target).backward();
    optimizer_.step();
  }
  std::vector<at::Tensor> weights() const { return net_.parameters(); }

 private:
  TutorialNet net_;
  torch::optim::SGD optimizer_{net_.parameters(), torch::optim::SGDOptions(0.001).momentum(0.9)};
};

class ByLockstep {
 public:
  void step(const Batch& batch) {
    parallel_.zero_grad();
    at::cross_entropy_loss(net_.forward(batch.input), batch.target).backward();
    optimizer_.step();
  }
  std::vector<at::Tensor> weights() const { return net_.parameters(); }

 private:
  lockstep::CifarNet net_{lockstep::ModelInput{}};
  lockstep::SelfCommunicator communicator_;
  lockstep::DataParallel parallel_{net_, communicator_};
  lockstep::FusedSgd optimizer_{parallel_, {.learning_rate = 0.001, .momentum = 0.9}};
};

template <typename Trainer>
double seconds_per_step(Trainer& trainer, const std::vector<Batch>& batches) {
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& batch : batches) trainer.step(batch);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() /
         static_cast<double>(batches.size());
}

template <typename Trainer>
Trainer make_seeded() {
  torch::manual_seed(1);
  return Trainer();
}

}  // namespace

int main(int argc, char** argv) {
  const std::int64_t batch_size = argc > 1 ? std::atoll(argv[1]) : 4;
  const int pairs = argc > 2 ? std::atoi(argv[2]) : 15;
  at::set_num_threads(1);
  auto by_hand = make_seeded<ByHand>();
  auto by_lockstep = make_seeded<ByLockstep>();
  std::vector<Batch> batches;
  for (int i = 0; i < 100; ++i)
    batches.push_back({at::randn({batch_size, 3, 32, 32}), at::randint(10, {batch_size}, at::kLong)});

  std::vector<double> ratios;
  double fastest[2] = {1e9, 1e9};
  for (int pair = 0; pair <= pairs; ++pair) {
    const double hand = seconds_per_step(by_hand, batches);
    const double ours = seconds_per_step(by_lockstep, batches);
    if (pair == 0) continue;  // warms caches and the allocator
    ratios.push_back(hand / ours);
    fastest[0] = std::min(fastest[0], hand);
    fastest[1] = std::min(fastest[1], ours);
  }
  bool equal = true;
  for (std::size_t i = 0; i < by_hand.weights().size(); ++i)
    equal = equal && at::equal(by_hand.weights()[i], by_lockstep.weights()[i]);
  std::sort(ratios.begin(), ratios.end());
  std::printf("batch %lld, LibTorch by hand / Lockstep: pairs %zu, median %.2f, %.2f .. %.2f, equal results: %s\n",
              static_cast<long long>(batch_size), ratios.size(), ratios[ratios.size() / 2], ratios.front(),
              ratios.back(), equal ? "yes" : "no");
  std::printf("  fastest step: %.0f and %.0f us\n", fastest[0] * 1e6, fastest[1] * 1e6);
  return equal ? 0 : 1;
}
