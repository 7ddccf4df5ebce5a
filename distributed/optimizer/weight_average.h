// The exponential moving average of the weights, which often predicts better than the last ones.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/distributed/gradients/data_parallel.h"

namespace lockstep {

struct WeightAverageOptions {
  double decay = 0.9999;
  // The decay of update t (counted from 0) is at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage:
  // the random start is soon forgotten. false: as torch.optim.swa_utils' get_ema_multi_avg_fn.
  bool warms_up = true;
};

// average += (1 - decay) * (weights - average), the first time a copy. One pass over the flat buffer. Buffers of the
// model (batch-norm statistics) are not averaged: they are the model's current ones, as in swa_utils by default.
class WeightAverage {
 public:
  // Throws Failure(usage) unless 0 <= decay < 1. The model outlives it.
  WeightAverage(DataParallel& model, WeightAverageOptions options);

  // After an optimizer step. Not while a Swapped lives.
  void update();

  // While alive, the model has the averaged weights (where there was an update): to evaluate or to write them.
  class [[nodiscard]] Swapped {
   public:
    explicit Swapped(WeightAverage& parent);
    ~Swapped();
    Swapped(const Swapped&) = delete;
    Swapped& operator=(const Swapped&) = delete;

   private:
    WeightAverage& parent_;
  };
  Swapped swap() { return Swapped(*this); }

  // For checkpoints, as Optimizer::state(): "ema.updates" and "ema.<name>".
  std::vector<std::pair<std::string, at::Tensor>> state();

 private:
  void exchange();

  DataParallel& model_;
  WeightAverageOptions options_;
  at::Tensor average_;  // flat
  at::Tensor updates_;  // int64 scalar on the CPU
};

}  // namespace lockstep
