// The operations of torch/optim/adam.py (_single_tensor_adam), each rounded as torch's operator on the CPU rounds it.
#include "lockstep/distributed/optimizer/adam_kernel.h"

#include "lockstep/distributed/optimizer/instruction_sets.h"
#include "lockstep/distributed/optimizer/moments.h"

namespace lockstep {
namespace {

template <bool has_fma, bool decays_gradient, bool small_share, typename T>
LOCKSTEP_INLINE void update(T* __restrict p, const T* __restrict g, T* __restrict m, T* __restrict v,
                            std::int64_t count, const AdamCoefficients<T>& coefficients) {
  const auto c = coefficients;
  for (std::int64_t i = 0; i < count; ++i) {
    T gradient = g[i] * c.gradient_scale;
    const T value = p[i] * c.kept;
    if constexpr (decays_gradient) gradient = multiply_add<has_fma>(c.weight_decay, value, gradient);
    const T first = lerp<has_fma, small_share>(m[i], gradient, c.first_share);
    const T second = multiply_add<has_fma>(c.second_share * gradient, gradient, v[i] * c.second_kept);
    m[i] = first;
    v[i] = second;
    p[i] = value + c.step_size * first / (square_root(second) / c.second_correction + c.eps);
  }
}

template <bool has_fma, bool decays_gradient, typename T>
LOCKSTEP_INLINE void choose_share(T* p, const T* g, T* m, T* v, std::int64_t count, const AdamCoefficients<T>& c) {
  if (is_small_share(c.first_share)) return update<has_fma, decays_gradient, true>(p, g, m, v, count, c);
  update<has_fma, decays_gradient, false>(p, g, m, v, count, c);
}

template <typename T>
struct AdamKernel {
  template <bool has_fma>
  static LOCKSTEP_INLINE void run(T* p, const T* g, T* m, T* v, std::int64_t count, const AdamCoefficients<T>* c) {
    if (c->weight_decay == 0) return choose_share<has_fma, false>(p, g, m, v, count, *c);
    choose_share<has_fma, true>(p, g, m, v, count, *c);
  }
};

}  // namespace

void adam_kernel(float* p, const float* g, float* m, float* v, std::int64_t count, const AdamCoefficients<float>& c) {
  for_this_processor<AdamKernel<float>>(p, g, m, v, count, &c);
}
void adam_kernel(double* p, const double* g, double* m, double* v, std::int64_t count,
                 const AdamCoefficients<double>& c) {
  for_this_processor<AdamKernel<double>>(p, g, m, v, count, &c);
}

}  // namespace lockstep
