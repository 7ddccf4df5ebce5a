// The inner loops of LAMB, compiled for several instruction sets; plain pointers, no LibTorch.
#pragma once

#include <cstdint>

namespace lockstep {

template <typename T>
struct LambCoefficients {
  T gradient_scale = 1;     // the gradient is multiplied by it first
  T first_share = 0;        // 1 - beta1
  T second_kept = 0;        // beta2
  T second_share = 0;       // 1 - beta2
  T first_correction = 1;   // 1 - beta1^step
  T second_correction = 1;  // sqrt(1 - beta2^step)
  T eps = 0;
  T weight_decay = 0;
};

// New averages from the gradients, and the directions u = m / first_correction / (sqrt(v) / second_correction + eps) +
// weight_decay * p. `count` values each, not overlapping.
void lamb_moments_kernel(const float* parameters, const float* gradients, float* first, float* second,
                         float* directions, std::int64_t count, const LambCoefficients<float>& coefficients);
void lamb_moments_kernel(const double* parameters, const double* gradients, double* first, double* second,
                         double* directions, std::int64_t count, const LambCoefficients<double>& coefficients);

// parameters += step_size * u, with u computed anew from the averages: as much memory traffic as if it had been kept.
void lamb_apply_kernel(float* parameters, const float* first, const float* second, float step_size, std::int64_t count,
                       const LambCoefficients<float>& coefficients);
void lamb_apply_kernel(double* parameters, const double* first, const double* second, double step_size,
                       std::int64_t count, const LambCoefficients<double>& coefficients);

}  // namespace lockstep
