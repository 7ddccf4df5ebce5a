// Sums of squares, compiled for several instruction sets; plain pointers, no LibTorch.
#pragma once

#include <cstdint>

namespace lockstep {

// Sums are taken cell by cell: the flat buffers are divided every kCell elements, whatever lies there, so that the bits
// of a norm depend neither on the processor (float) nor on who sums which part.
inline constexpr std::int64_t kCell = 1024;

// In float64. values: `count` of them, all in one cell.
double square_sum_kernel(const float* values, std::int64_t count);
double square_sum_kernel(const double* values, std::int64_t count);

}  // namespace lockstep
