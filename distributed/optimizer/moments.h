// A running average as torch's lerp computes it; plain C++, for the kernels.
#pragma once

#include "lockstep/distributed/optimizer/instruction_sets.h"

namespace lockstep {

// torch's lerp starts from the nearer end, so that a share of 1 gives exactly the new value.
template <typename T>
LOCKSTEP_INLINE bool is_small_share(T share) {
  return share < T(0.5) && share > T(-0.5);
}

// average + share * (value - average). Source: ATen/native/Lerp.h.
template <bool has_fma, bool small_share, typename T>
LOCKSTEP_INLINE T lerp(T average, T value, T share) {
  if constexpr (small_share) return multiply_add<has_fma>(share, value - average, average);
  return multiply_add<has_fma>(share - T(1), value - average, value);
}

}  // namespace lockstep
