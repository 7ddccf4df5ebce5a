// The inner loop of Adam and AdamW, compiled for several instruction sets; plain pointers, no LibTorch.
#pragma once

#include <cstdint>

namespace lockstep {

template <typename T>
struct AdamCoefficients {
  T gradient_scale = 1;     // the gradient is multiplied by it first
  T kept = 1;               // decoupled weight decay: the parameter is multiplied by it, 1 - learning rate * decay
  T weight_decay = 0;       // L2: this part of the parameter is added to the gradient
  T first_share = 0;        // 1 - beta1
  T second_kept = 0;        // beta2
  T second_share = 0;       // 1 - beta2
  T second_correction = 1;  // sqrt(1 - beta2^step)
  T eps = 0;
  T step_size = 0;  // negated: -learning rate / (1 - beta1^step)
};

// parameters, gradients and both averages: `count` values each, not overlapping.
void adam_kernel(float* parameters, const float* gradients, float* first, float* second, std::int64_t count,
                 const AdamCoefficients<float>& coefficients);
void adam_kernel(double* parameters, const double* gradients, double* first, double* second, std::int64_t count,
                 const AdamCoefficients<double>& coefficients);

}  // namespace lockstep
