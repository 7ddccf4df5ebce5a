// How the kernels of this folder are compiled for several instruction sets; plain C++, no LibTorch.
//
// A kernel is a struct with `template <bool has_fma> static LOCKSTEP_INLINE void run(arguments)`; for_this_processor
// calls it as compiled for the widest instruction set that the processor has. torch's CPU operators use one fused
// multiply-add where the processor has one, and a product rounded before the sum where it has not; has_fma says which
// of the two a kernel must spell out to end with torch's bits. CMakeLists.txt compiles files named *_kernel.cpp with
// -ffp-contract=off, so that the compiler fuses nothing else, and -fno-math-errno, without which no square root is
// vectorised.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#define LOCKSTEP_INLINE __attribute__((always_inline)) inline
#else
#define LOCKSTEP_INLINE inline
#endif

namespace lockstep {

LOCKSTEP_INLINE float fused_multiply_add(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
LOCKSTEP_INLINE double fused_multiply_add(double a, double b, double c) { return __builtin_fma(a, b, c); }
LOCKSTEP_INLINE float square_root(float x) { return __builtin_sqrtf(x); }
LOCKSTEP_INLINE double square_root(double x) { return __builtin_sqrt(x); }

// a * b + c
template <bool has_fma, typename T>
LOCKSTEP_INLINE T multiply_add(T a, T b, T c) {
  if constexpr (has_fma) return fused_multiply_add(a, b, c);
  return a * b + c;
}

#if defined(__x86_64__)
template <typename Kernel, typename... Arguments>
__attribute__((target("avx512f,avx2,fma"))) void run_avx512(Arguments... arguments) {
  Kernel::template run<true>(arguments...);
}
template <typename Kernel, typename... Arguments>
__attribute__((target("avx2,fma"))) void run_avx2(Arguments... arguments) {
  Kernel::template run<true>(arguments...);
}
template <typename Kernel, typename... Arguments>
void for_this_processor(Arguments... arguments) {
  const bool has_fma = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (has_fma && __builtin_cpu_supports("avx512f")) return run_avx512<Kernel>(arguments...);
  if (has_fma) return run_avx2<Kernel>(arguments...);
  Kernel::template run<false>(arguments...);
}
#else
template <typename Kernel, typename... Arguments>
void for_this_processor(Arguments... arguments) {
#if defined(__FMA__) || defined(__aarch64__) || defined(__ARM_FEATURE_FMA)
  Kernel::template run<true>(arguments...);
#else
  Kernel::template run<false>(arguments...);
#endif
}
#endif

}  // namespace lockstep
