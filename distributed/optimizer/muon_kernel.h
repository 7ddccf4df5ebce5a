// The elementwise part of Muon, compiled for several instruction sets; plain pointers, no LibTorch.
#pragma once

#include <cstdint>

namespace lockstep {

// momentum = lerp(momentum, g, 1 - kept) with g = gradients * gradient_scale; directions = nesterov ? lerp(g, momentum,
// kept) : momentum. `count` values each, not overlapping.
void muon_momentum_kernel(const float* gradients, float* momentum, float* directions, std::int64_t count,
                          double gradient_scale, double kept, bool nesterov);
void muon_momentum_kernel(const double* gradients, double* momentum, double* directions, std::int64_t count,
                          double gradient_scale, double kept, bool nesterov);

// parameters = parameters * kept + step_size * directions
void muon_apply_kernel(float* parameters, const float* directions, std::int64_t count, double kept, double step_size);
void muon_apply_kernel(double* parameters, const double* directions, std::int64_t count, double kept, double step_size);

}  // namespace lockstep
