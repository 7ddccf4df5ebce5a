// One optimizer step: the function to read first.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <string>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/optimizer.h"
#include "lockstep/distributed/training/gradient_guard.h"
#include "lockstep/distributed/training/loss_meter.h"

namespace lockstep {

// input: [n, C, H, W] float32 or [n, t] int64 tokens, on the session's device; returns the logits, [n, classes] or
// [n, t, vocabulary].
using Forward = std::function<at::Tensor(const at::Tensor& input)>;

// References to what takes part in a step; they outlive the TrainStep.
struct StepParts {
  Forward forward;
  DataParallel& model;
  Optimizer& optimizer;
  BatchSource& source;
  LossMeter& meter;
  c10::Device device;
  std::string precision = "fp32";
  std::int64_t accumulate = 1;  // micro-batches per step
  // Layers communicate (SyncBatchNorm): a rank goes through forward and backward without samples, too.
  bool layers_communicate = false;
  GradientGuard* guard = nullptr;  // null: gradients go to the optimizer as they are
};

struct StepResult {
  std::int64_t global_samples = 0;  // trained on by all ranks; 0: the epoch is over, nothing was done
  double exposed_seconds = 0;       // this rank waited for collectives
  GradientGuard::Verdict gradients = {};
};

class TrainStep {
 public:
  explicit TrainStep(StepParts parts) : parts_(std::move(parts)) {}

  // Collective. Trains on the next `accumulate` micro-batches (fewer at the end of an epoch): the gradient is that of
  // the mean loss over all their samples on all ranks, whatever their distribution, also where this rank has none.
  // step: its number, for messages. spoil: the loss becomes NaN (fault_injection.h).
  StepResult operator()(std::int64_t step, bool spoil = false);

  // Whether the epoch has no further step.
  bool epoch_over() const { return samples_ahead() == 0; }

 private:
  std::int64_t samples_ahead() const;
  void backward(const Batch& batch, std::int64_t step, std::int64_t step_samples, bool spoil);
  StepParts parts_;
  Batch batch_;
};

// The mean cross entropy of `logits` [n, classes] and `target` [n], or [n, t, classes] and [n, t], a float32 scalar.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& target);

}  // namespace lockstep
