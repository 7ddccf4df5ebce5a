// The running mean loss of a window of steps, without a host wait per step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "lockstep/distributed/checkpoint/loss_sums.h"

namespace lockstep {

// On the CPU a loss is read at once (it is there); on a GPU it is added up on the device and read by sums().
class LossMeter {
 public:
  // loss: a scalar, the mean over `samples` samples. On the CPU throws Failure(usage) when it is not finite, naming
  // `step`.
  void add(const at::Tensor& loss, std::int64_t samples, std::int64_t step);

  // The two halves of it, for steps whose work is recorded for a graph: what the device does, and what the host keeps
  // of steps that were replayed, `first` to `last`, with `samples` in all.
  void add_on_device(const at::Tensor& loss, std::int64_t samples);
  void count(std::int64_t samples, std::int64_t first, std::int64_t last);

  // Waits for the device. Throws Failure(usage) when the sum is not finite, naming the steps of the window.
  LossSums sums();

  void reset(LossSums start = {});

 private:
  LossSums host_;
  at::Tensor device_;  // float64 scalar; undefined until a loss was added on the device
  std::int64_t first_step_ = -1, last_step_ = -1;
};

}  // namespace lockstep
