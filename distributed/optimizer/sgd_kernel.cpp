// torch's add(a, b, alpha) is one fused multiply-add where the processor has one, and a product rounded before the sum
// where it has not; mul() rounds by itself. To end with torch's bits, each operation here says which of the two it is,
// and the file is compiled with -ffp-contract=off so that the compiler fuses nothing else.
#include "lockstep/distributed/optimizer/sgd_kernel.h"

namespace lockstep {
namespace {

#if defined(__x86_64__)
#define LOCKSTEP_INLINE __attribute__((always_inline)) inline
#else
#define LOCKSTEP_INLINE inline
#endif

LOCKSTEP_INLINE float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
LOCKSTEP_INLINE double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

// a * b + c
template <bool has_fma, typename T>
LOCKSTEP_INLINE T multiply_add(T a, T b, T c) {
  if constexpr (has_fma) return fused(a, b, c);
  return a * b + c;
}

enum class Momentum { none, first, later };

template <bool has_fma, bool decays, Momentum momentum, typename T>
LOCKSTEP_INLINE void update(T* __restrict p, const T* __restrict g, T* __restrict b, std::int64_t count,
                            const SgdCoefficients<T>& coefficients) {
  const auto c = coefficients;
  for (std::int64_t i = 0; i < count; ++i) {
    T direction = g[i];
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

template <bool has_fma, typename T>
LOCKSTEP_INLINE void choose(T* p, const T* g, T* b, std::int64_t count, const SgdCoefficients<T>& c) {
  if (c.weight_decay == 0) return choose_momentum<has_fma, false>(p, g, b, count, c);
  choose_momentum<has_fma, true>(p, g, b, count, c);
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx512f,avx2,fma"))) void update_avx512(T* p, const T* g, T* b, std::int64_t n,
                                                               const SgdCoefficients<T>& c) {
  choose<true>(p, g, b, n, c);
}
template <typename T>
__attribute__((target("avx2,fma"))) void update_avx2(T* p, const T* g, T* b, std::int64_t n,
                                                     const SgdCoefficients<T>& c) {
  choose<true>(p, g, b, n, c);
}
template <typename T>
void dispatch(T* p, const T* g, T* b, std::int64_t n, const SgdCoefficients<T>& c) {
  const bool has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (has_fma && __builtin_cpu_supports("avx512f")) return update_avx512(p, g, b, n, c);
  if (has_fma) return update_avx2(p, g, b, n, c);
  choose<false>(p, g, b, n, c);
}
#else
template <typename T>
void dispatch(T* p, const T* g, T* b, std::int64_t n, const SgdCoefficients<T>& c) {
#if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
  choose<true>(p, g, b, n, c);
#else
  choose<false>(p, g, b, n, c);
#endif
}
#endif

}  // namespace

void sgd_kernel(float* p, const float* g, float* b, std::int64_t count, const SgdCoefficients<float>& c) {
  dispatch(p, g, b, count, c);
}
void sgd_kernel(double* p, const double* g, double* b, std::int64_t count, const SgdCoefficients<double>& c) {
  dispatch(p, g, b, count, c);
}

}  // namespace lockstep
