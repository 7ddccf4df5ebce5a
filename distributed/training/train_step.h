// One optimizer step: the function to read first.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/optimizer.h"
#include "lockstep/distributed/optimizer/weight_average.h"
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
  GradientGuard* guard = nullptr;    // null: gradients go to the optimizer as they are
  WeightAverage* average = nullptr;  // null: no average is kept
  // Find out in the first step into how many pieces this rank's share of a batch must be cut so that each fits into
  // memory on every rank (micro_batch_search.h). For accumulate == 1, without layers that communicate.
  bool search_pieces = false;
  std::vector<at::Tensor> buffers = {};              // of the module: put back after an attempt that did not fit
  std::function<void(const std::string&)> say = {};  // a line for the user
};

struct StepResult {
  std::int64_t global_samples = 0;             // trained on by all ranks; 0: the epoch is over, nothing was done
  std::int64_t steps = 1;                      // optimizer steps that were made
  std::optional<double> exposed_seconds = {};  // this rank waited for collectives; where it is known (SyncTiming)
  GradientGuard::Verdict gradients = {};
};

// What a recorded step reads: a micro-batch, and the numbers of its updates, all on the device, where they stay.
struct DeviceBatch {
  at::Tensor input, target;
};
struct UpdateNumbers {
  at::Tensor of_optimizer;  // Optimizer::step_with
  at::Tensor of_average;    // WeightAverage::update_with; undefined without one
};

class TrainStep {
 public:
  explicit TrainStep(StepParts parts) : parts_(std::move(parts)), searching_(parts_.search_pieces) {}

  // Collective. Trains on the next `accumulate` micro-batches (fewer at the end of an epoch): the gradient is that of
  // the mean loss over all their samples on all ranks, whatever their distribution, also where this rank has none.
  // step: its number, for messages. spoil: the loss becomes NaN (fault_injection.h).
  StepResult operator()(std::int64_t step, bool spoil = false);

  // The device's work of one such step over `accumulate` full micro-batches, for a graph to record: the host waits for
  // nothing and counts nothing. Needs steps before it, in which all parameters had a gradient.
  void record(std::span<const DeviceBatch> micro_batches, const UpdateNumbers& numbers);

  const StepParts& parts() const { return parts_; }
  // Of the last micro-batch: shapes and counts; its values are gone.
  const Batch& last_batch() const { return batch_; }

  // Pieces that a batch is cut into, whose gradients add up: that of the whole batch but for rounding, and for layers
  // that look at all samples at once (batch normalisation), which see a piece's.
  std::int64_t pieces() const { return pieces_; }

  // Whether the epoch has no further step.
  bool epoch_over() const { return samples_ahead() == 0; }

 private:
  std::int64_t samples_ahead() const;
  // What the loss of some samples is multiplied by, and which step it is.
  struct Part {
    std::int64_t step = 0, step_samples = 0;
    bool spoil = false;
    bool recorded = false;  // losses are added on the device, and counted by whoever replays
  };
  void backward(const Batch& batch, const Part& part);
  void backward_piece(const at::Tensor& input, const at::Tensor& target, const Part& part);
  void search_pieces(const Batch& batch, const Part& part);
  StepParts parts_;
  std::int64_t pieces_ = 1;
  bool searching_;
  Batch batch_;
};

// The mean cross entropy of `logits` [n, classes] and `target` [n], or [n, t, classes] and [n, t], a float32 scalar.
at::Tensor cross_entropy(const at::Tensor& logits, const at::Tensor& target);

}  // namespace lockstep
