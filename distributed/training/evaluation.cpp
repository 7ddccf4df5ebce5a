#include "lockstep/distributed/training/evaluation.h"

#include <ATen/ops/argmax.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/nn/module.h>

#include <utility>
#include <vector>

#include "lockstep/distributed/training/small_sums.h"

namespace lockstep {
namespace {

// All modules in eval mode; afterwards each in its own again: parts that the user has frozen stay frozen.
class EvalMode {
 public:
  explicit EvalMode(torch::nn::Module& module) {
    before_.emplace_back(&module, module.is_training());
    for (const auto& part : module.modules(/*include_self=*/false))
      before_.emplace_back(part.get(), part->is_training());
    module.eval();
  }
  ~EvalMode() {
    // From the outside in: train() sets all parts of a module too.
    for (const auto& [module, was_training] : before_) module->train(was_training);
  }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  std::vector<std::pair<torch::nn::Module*, bool>> before_;
};

}  // namespace

Evaluation evaluate(torch::nn::Module& module, const Forward& forward, BatchSource& source, Communicator& communicator,
                    c10::Device device, std::int64_t pieces) {
  const EvalMode mode(module);
  const c10::AutoGradMode no_grad(false);
  // On the device until the end: a GPU is not waited for after each batch.
  at::Tensor loss = at::zeros({}, at::TensorOptions(at::kDouble).device(device));
  at::Tensor correct = at::zeros({}, at::TensorOptions(at::kLong).device(device));
  std::int64_t answers = 0;  // one for each sample; for tokens, one for each token
  Batch batch;
  for (source.seek({0, 0}); source.next(batch);) {
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
      const std::int64_t first = batch.local_count * piece / pieces;
      const std::int64_t count = batch.local_count * (piece + 1) / pieces - first;
      if (count == 0) continue;
      const at::Tensor target = batch.target.narrow(0, first, count).to(device);
      const at::Tensor logits = forward(batch.input.narrow(0, first, count).to(device));
      loss.add_(cross_entropy(logits, target), static_cast<double>(target.numel()));
      correct.add_(logits.argmax(-1).eq(target).sum());
      answers += target.numel();
    }
  }
  double sums[] = {loss.item<double>(), static_cast<double>(correct.item<std::int64_t>()),
                   static_cast<double>(answers)};
  sum_over_ranks(communicator, device, sums);
  return {.loss = sums[2] > 0 ? sums[0] / sums[2] : 0,
          .correct = static_cast<std::int64_t>(sums[1]),
          .samples = static_cast<std::int64_t>(sums[2])};
}

}  // namespace lockstep
