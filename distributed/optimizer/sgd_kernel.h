// The inner loop of SGD, compiled for several instruction sets; plain pointers, no LibTorch.
#pragma once

#include <cstdint>

namespace lockstep {

template <typename T>
struct SgdCoefficients {
  T gradient_scale = 1;  // the gradient is multiplied by it first
  T learning_rate = 0;   // negated: what the direction is multiplied with
  T momentum = 0;        // 0: no momentum buffer
  T gradient_share = 1;  // 1 - dampening
  T weight_decay = 0;
  bool nesterov = false;
  bool first = false;  // momentum holds no value yet
};

// parameters, gradients, momentum: `count` values each, not overlapping. momentum: null when its coefficient is 0.
void sgd_kernel(float* parameters, const float* gradients, float* momentum, std::int64_t count,
                const SgdCoefficients<float>& coefficients);
void sgd_kernel(double* parameters, const double* gradients, double* momentum, std::int64_t count,
                const SgdCoefficients<double>& coefficients);

}  // namespace lockstep
