// The exponential moving average of the weights, which often predicts better than the last ones.
#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/piece_state.h"
#include "lockstep/distributed/optimizer/stateful.h"

namespace lockstep {

struct WeightAverageOptions {
  double decay = 0.9999;
  // The decay of update t (counted from 0) is at most (1 + t) / (10 + t), as in TensorFlow's ExponentialMovingAverage:
  // the random start is soon forgotten. false: as torch.optim.swa_utils' get_ema_multi_avg_fn.
  bool warms_up = true;
};

// average += (1 - decay) * (weights - average), the first time a copy. One pass over the flat buffer. Buffers of the
// model (batch-norm statistics) are not averaged: they are the model's current ones, as in swa_utils by default. Of
// 16-bit weights the average is float32. In a sharded model each rank keeps the average of its shard.
class WeightAverage : public Stateful {
 public:
  // Throws Failure(usage) unless 0 <= decay < 1. The model outlives it.
  WeightAverage(DataParallel& model, WeightAverageOptions options);

  // After an optimizer step. Not while a Swapped lives.
  void update();

  // The same in parts, as of Optimizer::step(), for devices other than the CPU: the one number of the update that
  // follows after `ahead` others; the work, with that number in a tensor of number_type() on the device; the count.
  double step_number(std::int64_t ahead = 0) const;
  void update_with(const at::Tensor& number);
  void count_updates(std::int64_t updates = 1);
  at::ScalarType number_type() const { return average_.values().scalar_type(); }

  // While alive, the model has the averaged weights (where there was an update): to evaluate or to write them. Making
  // it is collective where the model is sharded.
  class [[nodiscard]] Swapped {
   public:
    explicit Swapped(WeightAverage& parent);
    ~Swapped();
    Swapped(const Swapped&) = delete;
    Swapped& operator=(const Swapped&) = delete;

   private:
    WeightAverage& parent_;
    at::Tensor weights_;  // undefined when nothing was swapped
  };
  Swapped swap() { return Swapped(*this); }

  // "ema.updates" and "ema.<name>".
  NamedTensors state() override;
  NamedTensors state_form() override;
  void load_state(const NamedTensors& values) override;

 private:
  // f(weights, average) for all that this rank has.
  template <typename Function>
  void for_each_part(const Function& f);

  DataParallel& model_;
  WeightAverageOptions options_;
  const std::vector<ShardPiece> pieces_;
  PieceState average_;
  at::Tensor updates_;  // int64 scalar on the CPU
};

}  // namespace lockstep
