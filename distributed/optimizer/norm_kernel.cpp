#include "lockstep/distributed/optimizer/norm_kernel.h"

#include <cstring>

#include "lockstep/distributed/optimizer/instruction_sets.h"

namespace lockstep {
namespace {

constexpr int kLanes = 8;
using Lanes = double __attribute__((vector_size(kLanes * sizeof(double))));
using FloatLanes = float __attribute__((vector_size(kLanes * sizeof(float))));

LOCKSTEP_INLINE void load(const float* values, Lanes& lanes) {
  FloatLanes row;
  std::memcpy(&row, values, sizeof row);
  lanes = __builtin_convertvector(row, Lanes);
}
LOCKSTEP_INLINE void load(const double* values, Lanes& lanes) { std::memcpy(&lanes, values, sizeof lanes); }

template <typename T>
struct SquareSumKernel {
  // Four sums of eight lanes, whatever the instruction set: the order of the additions is always the same.
  template <bool has_fma>
  static LOCKSTEP_INLINE void run(const T* values, std::int64_t count, double* result) {
    Lanes sums[4] = {};
    std::int64_t i = 0;
    for (; i + 4 * kLanes <= count; i += 4 * kLanes)
      for (int j = 0; j < 4; ++j) add_squares(values + i + j * kLanes, sums[j]);
    for (int j = 0; i < count; i += kLanes, ++j) {
      T rest[kLanes] = {};
      std::memcpy(rest, values + i, static_cast<std::size_t>(count - i < kLanes ? count - i : kLanes) * sizeof(T));
      add_squares(rest, sums[j]);
    }
    const Lanes all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    *result = ((all[0] + all[1]) + (all[2] + all[3])) + ((all[4] + all[5]) + (all[6] + all[7]));
  }

  static LOCKSTEP_INLINE void add_squares(const T* values, Lanes& sum) {
    Lanes x;
    load(values, x);
    sum += x * x;  // of floats: exact, so that one rounding or two make no difference
  }
};

}  // namespace

double square_sum_kernel(const float* values, std::int64_t count) {
  double result = 0;
  for_this_processor<SquareSumKernel<float>>(values, count, &result);
  return result;
}
double square_sum_kernel(const double* values, std::int64_t count) {
  double result = 0;
  for_this_processor<SquareSumKernel<double>>(values, count, &result);
  return result;
}

}  // namespace lockstep
