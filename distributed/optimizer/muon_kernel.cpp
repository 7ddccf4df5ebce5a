#include "lockstep/distributed/optimizer/muon_kernel.h"

#include "lockstep/distributed/optimizer/instruction_sets.h"
#include "lockstep/distributed/optimizer/moments.h"

namespace lockstep {
namespace {

template <typename T>
LOCKSTEP_INLINE T any_lerp(bool small, T from, T to, T share, bool has_fma) {
  if (has_fma) return small ? lerp<true, true>(from, to, share) : lerp<true, false>(from, to, share);
  return small ? lerp<false, true>(from, to, share) : lerp<false, false>(from, to, share);
}

template <typename T>
struct MomentumKernel {
  template <bool has_fma>
  static LOCKSTEP_INLINE void run(const T* __restrict g, T* __restrict b, T* __restrict u, std::int64_t count, T scale,
                                  T kept, T share, bool nesterov) {
    const bool small_share = is_small_share(share), small_kept = is_small_share(kept);
    for (std::int64_t i = 0; i < count; ++i) {
      const T gradient = g[i] * scale;
      const T momentum = any_lerp(small_share, b[i], gradient, share, has_fma);
      b[i] = momentum;
      u[i] = nesterov ? any_lerp(small_kept, gradient, momentum, kept, has_fma) : momentum;
    }
  }
};

template <typename T>
struct ApplyKernel {
  template <bool has_fma>
  static LOCKSTEP_INLINE void run(T* __restrict p, const T* __restrict u, std::int64_t count, T kept, T step_size) {
    for (std::int64_t i = 0; i < count; ++i) p[i] = multiply_add<has_fma>(step_size, u[i], p[i] * kept);
  }
};

template <typename T>
void momentum(const T* g, T* b, T* u, std::int64_t count, double scale, double kept, bool nesterov) {
  for_this_processor<MomentumKernel<T>>(g, b, u, count, static_cast<T>(scale), static_cast<T>(kept),
                                        static_cast<T>(1 - kept), nesterov);
}

}  // namespace

void muon_momentum_kernel(const float* g, float* b, float* u, std::int64_t count, double scale, double kept,
                          bool nesterov) {
  momentum(g, b, u, count, scale, kept, nesterov);
}
void muon_momentum_kernel(const double* g, double* b, double* u, std::int64_t count, double scale, double kept,
                          bool nesterov) {
  momentum(g, b, u, count, scale, kept, nesterov);
}
void muon_apply_kernel(float* p, const float* u, std::int64_t count, double kept, double step_size) {
  for_this_processor<ApplyKernel<float>>(p, u, count, static_cast<float>(kept), static_cast<float>(step_size));
}
void muon_apply_kernel(double* p, const double* u, std::int64_t count, double kept, double step_size) {
  for_this_processor<ApplyKernel<double>>(p, u, count, kept, step_size);
}

}  // namespace lockstep
