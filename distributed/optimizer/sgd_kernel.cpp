#include "lockstep/distributed/optimizer/sgd_kernel.h"

#include "lockstep/distributed/optimizer/instruction_sets.h"

namespace lockstep {
namespace {

enum class Momentum { none, first, later };

template <bool has_fma, bool decays, Momentum momentum, typename T>
LOCKSTEP_INLINE void update(T* __restrict p, const T* __restrict g, T* __restrict b, std::int64_t count,
                            const SgdCoefficients<T>& coefficients) {
  const auto c = coefficients;
  for (std::int64_t i = 0; i < count; ++i) {
    T direction = g[i] * c.gradient_scale;
    if constexpr (decays) direction = multiply_add<has_fma>(c.weight_decay, p[i], direction);
    if constexpr (momentum != Momentum::none) {
      T average = direction;
      if constexpr (momentum == Momentum::later)
        average = multiply_add<has_fma>(c.gradient_share, direction, b[i] * c.momentum);
      b[i] = average;
      direction = c.nesterov ? multiply_add<has_fma>(c.momentum, average, direction) : average;
    }
    p[i] = multiply_add<has_fma>(c.learning_rate, direction, p[i]);
  }
}

template <bool has_fma, bool decays, typename T>
LOCKSTEP_INLINE void choose_momentum(T* p, const T* g, T* b, std::int64_t count, const SgdCoefficients<T>& c) {
  if (c.momentum == 0) return update<has_fma, decays, Momentum::none>(p, g, b, count, c);
  if (c.first) return update<has_fma, decays, Momentum::first>(p, g, b, count, c);
  update<has_fma, decays, Momentum::later>(p, g, b, count, c);
}

template <typename T>
struct SgdKernel {
  template <bool has_fma>
  static LOCKSTEP_INLINE void run(T* p, const T* g, T* b, std::int64_t count, const SgdCoefficients<T>* c) {
    if (c->weight_decay == 0) return choose_momentum<has_fma, false>(p, g, b, count, *c);
    choose_momentum<has_fma, true>(p, g, b, count, *c);
  }
};

}  // namespace

void sgd_kernel(float* p, const float* g, float* b, std::int64_t count, const SgdCoefficients<float>& c) {
  for_this_processor<SgdKernel<float>>(p, g, b, count, &c);
}
void sgd_kernel(double* p, const double* g, double* b, std::int64_t count, const SgdCoefficients<double>& c) {
  for_this_processor<SgdKernel<double>>(p, g, b, count, &c);
}

}  // namespace lockstep
