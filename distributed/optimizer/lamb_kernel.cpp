#include "lockstep/distributed/optimizer/lamb_kernel.h"

#include "lockstep/distributed/optimizer/instruction_sets.h"
#include "lockstep/distributed/optimizer/moments.h"

namespace lockstep {
namespace {

template <bool has_fma, typename T>
LOCKSTEP_INLINE T direction(T parameter, T first, T second, const LambCoefficients<T>& c) {
  const T adam = first / c.first_correction / (square_root(second) / c.second_correction + c.eps);
  return multiply_add<has_fma>(c.weight_decay, parameter, adam);
}

template <bool has_fma, bool small_share, typename T>
LOCKSTEP_INLINE void update_moments(const T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v,
                                    T* __restrict u, std::int64_t count, const LambCoefficients<T>& coefficients) {
  const auto c = coefficients;
  for (std::int64_t i = 0; i < count; ++i) {
    const T gradient = g[i] * c.gradient_scale;
    const T first = lerp<has_fma, small_share>(m[i], gradient, c.first_share);
    const T second = multiply_add<has_fma>(c.second_share * gradient, gradient, v[i] * c.second_kept);
    m[i] = first;
    v[i] = second;
    u[i] = direction<has_fma>(p[i], first, second, c);
  }
}

template <typename T>
struct MomentsKernel {
  template <bool has_fma>
  static LOCKSTEP_INLINE void run(const T* p, const T* g, T* m, T* v, T* u, std::int64_t count,
                                  const LambCoefficients<T>* c) {
    if (is_small_share(c->first_share)) return update_moments<has_fma, true>(p, g, m, v, u, count, *c);
    update_moments<has_fma, false>(p, g, m, v, u, count, *c);
  }
};

template <typename T>
struct ApplyKernel {
  template <bool has_fma>
  static LOCKSTEP_INLINE void run(T* __restrict p, const T* __restrict m, const T* __restrict v, T step_size,
                                  std::int64_t count, const LambCoefficients<T>* coefficients) {
    const auto c = *coefficients;
    for (std::int64_t i = 0; i < count; ++i)
      p[i] = multiply_add<has_fma>(step_size, direction<has_fma>(p[i], m[i], v[i], c), p[i]);
  }
};

}  // namespace

void lamb_moments_kernel(const float* p, const float* g, float* m, float* v, float* u, std::int64_t count,
                         const LambCoefficients<float>& c) {
  for_this_processor<MomentsKernel<float>>(p, g, m, v, u, count, &c);
}
void lamb_moments_kernel(const double* p, const double* g, double* m, double* v, double* u, std::int64_t count,
                         const LambCoefficients<double>& c) {
  for_this_processor<MomentsKernel<double>>(p, g, m, v, u, count, &c);
}
void lamb_apply_kernel(float* p, const float* m, const float* v, float step_size, std::int64_t count,
                       const LambCoefficients<float>& c) {
  for_this_processor<ApplyKernel<float>>(p, m, v, step_size, count, &c);
}
void lamb_apply_kernel(double* p, const double* m, const double* v, double step_size, std::int64_t count,
                       const LambCoefficients<double>& c) {
  for_this_processor<ApplyKernel<double>>(p, m, v, step_size, count, &c);
}

}  // namespace lockstep
