// One update of Adam, for the optimizers that contain one.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "lockstep/distributed/optimizer/adam_kernel.h"
#include "lockstep/distributed/optimizer/step_numbers.h"

namespace lockstep {

// How one stretch of the buffers is updated.
struct AdamUpdate {
  double learning_rate = 0.001, beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0;
  bool decoupled = true;
  double gradient_scale = 1;
  std::int64_t step = 1;  // counted from 1
};

template <typename T>
AdamCoefficients<T> adam_coefficients(const AdamUpdate& update);

// The numbers that update_adam_by_operators() reads.
void list_adam_numbers(const AdamUpdate& update, std::vector<double>& to);

// By torch's operators, on any device and type; of float32 in one pass (torch's fused Adam, whose roundings differ from
// the kernel's). gradients: already scaled. Of `update` it takes what does not change from step to step.
void update_adam_by_operators(const at::Tensor& parameters, at::Tensor gradients, const at::Tensor& first,
                              const at::Tensor& second, const AdamUpdate& update, StepNumbers& numbers);

}  // namespace lockstep
