#include "lockstep/distributed/communicator/reduce_kernels.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "lockstep/distributed/communicator/element.h"

// Function multiversioning needs ifunc; sanitizers cannot instrument its resolvers.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define LOCKSTEP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LOCKSTEP_CLONES
#endif
#define LOCKSTEP_INLINE inline __attribute__((always_inline))

namespace lockstep {
namespace {

struct Arrays {
  std::span<const std::byte* const> inputs;
  std::span<std::byte* const> outputs;
  std::int64_t count;
  double scale;
};

constexpr std::int64_t block = 1024;  // elements of the running sum: 4 to 8 KB, stays in the first-level cache

template <ReduceOp op, typename Sum>
LOCKSTEP_INLINE Sum combine(Sum a, Sum b) {
  // Not std::min: NaN wins, on either side. No branches, for the sake of vector code.
  if constexpr (op == ReduceOp::min) return static_cast<bool>((b < a) | (b != b)) ? b : a;
  if constexpr (op == ReduceOp::max) return static_cast<bool>((b > a) | (b != b)) ? b : a;
  return a + b;
}

template <DataType type, ReduceOp op>
struct Loop {
  using E = Element<type>;
  using Stored = typename E::Stored;
  // int64 is compared as signed, but added as unsigned.
  using Sum = std::conditional_t<type == DataType::int64 && op != ReduceOp::sum, std::int64_t, typename E::Sum>;
  static constexpr bool scales = op == ReduceOp::sum && type != DataType::int64;

  static LOCKSTEP_INLINE const Stored* in(const Arrays& a, std::size_t r) {
    return reinterpret_cast<const Stored*>(a.inputs[r]);
  }
  static LOCKSTEP_INLINE Stored* out(const Arrays& a, std::size_t r) { return reinterpret_cast<Stored*>(a.outputs[r]); }

  static LOCKSTEP_INLINE Stored finish(Sum sum, Sum scale) {
    if constexpr (scales) sum *= scale;
    return E::store(static_cast<typename E::Sum>(sum));
  }

  // Two ranks, in place: one pass over memory. ivdep: outputs are equal to inputs or apart, never shifted.
  static LOCKSTEP_INLINE void two_to_two(const Arrays& a) {
    const Stored *x = in(a, 0), *y = in(a, 1);
    Stored *p = out(a, 0), *q = out(a, 1);
    const auto scale = static_cast<Sum>(a.scale);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < a.count; ++i) {
      const Stored value = finish(combine<op>(static_cast<Sum>(E::load(x[i])), static_cast<Sum>(E::load(y[i]))), scale);
      p[i] = value;
      q[i] = value;
    }
  }

  static LOCKSTEP_INLINE void two_to_one(const Arrays& a) {
    const Stored *x = in(a, 0), *y = in(a, 1);
    Stored* p = out(a, 0);
    const auto scale = static_cast<Sum>(a.scale);
#pragma GCC ivdep
    for (std::int64_t i = 0; i < a.count; ++i) {
      p[i] = finish(combine<op>(static_cast<Sum>(E::load(x[i])), static_cast<Sum>(E::load(y[i]))), scale);
    }
  }

  static LOCKSTEP_INLINE void any(const Arrays& a) {
    std::array<Sum, block> sums;
    const auto scale = static_cast<Sum>(a.scale);
    for (std::int64_t first = 0; first < a.count; first += block) {
      const std::int64_t n = std::min(block, a.count - first);
      for (std::int64_t i = 0; i < n; ++i) sums[i] = static_cast<Sum>(E::load(in(a, 0)[first + i]));
      for (std::size_t r = 1; r < a.inputs.size(); ++r) {
        const Stored* x = in(a, r) + first;
        for (std::int64_t i = 0; i < n; ++i) sums[i] = combine<op>(sums[i], static_cast<Sum>(E::load(x[i])));
      }
      for (std::size_t r = 0; r < a.outputs.size(); ++r) {
        Stored* p = out(a, r) + first;
        for (std::int64_t i = 0; i < n; ++i) p[i] = finish(sums[i], scale);
      }
    }
  }

  static LOCKSTEP_INLINE void run(const Arrays& a) {
    if (a.inputs.size() == 2 && a.outputs.size() == 2) return two_to_two(a);
    if (a.inputs.size() == 2 && a.outputs.size() == 1) return two_to_one(a);
    any(a);
  }
};

// Clones cannot be templates: one plain function for each type and operation.
#define LOCKSTEP_KERNEL(type, op) \
  LOCKSTEP_CLONES void type##_##op(const Arrays& a) { Loop<DataType::type, ReduceOp::op>::run(a); }
#define LOCKSTEP_KERNELS(type) LOCKSTEP_KERNEL(type, sum) LOCKSTEP_KERNEL(type, min) LOCKSTEP_KERNEL(type, max)
LOCKSTEP_KERNELS(float32)
LOCKSTEP_KERNELS(bfloat16)
LOCKSTEP_KERNELS(float16)
LOCKSTEP_KERNELS(float64)
LOCKSTEP_KERNELS(int64)
#undef LOCKSTEP_KERNELS
#undef LOCKSTEP_KERNEL

using Kernel = void (*)(const Arrays&);
// By DataType and ReduceOp; average adds like sum.
// clang-format off
constexpr Kernel kernels[5][4] = {
    {float32_sum, float32_sum, float32_min, float32_max},
    {bfloat16_sum, bfloat16_sum, bfloat16_min, bfloat16_max},
    {float16_sum, float16_sum, float16_min, float16_max},
    {float64_sum, float64_sum, float64_min, float64_max},
    {int64_sum, int64_sum, int64_min, int64_max},
};
// clang-format on

}  // namespace

void reduce(DataType type, ReduceOp op, double scale, std::span<const std::byte* const> inputs,
            std::span<std::byte* const> outputs, std::int64_t count) {
  if (count == 0) return;
  if (inputs.size() == 1 && scale == 1.0) {
    const auto bytes = static_cast<std::size_t>(count) * element_bytes(type);
    for (std::byte* output : outputs) {
      if (output != inputs[0]) std::memcpy(output, inputs[0], bytes);
    }
    return;
  }
  kernels[static_cast<std::size_t>(type)][static_cast<std::size_t>(op)]({inputs, outputs, count, scale});
}

void scale_in_place(DataType type, double scale, void* data, std::int64_t count) {
  if (scale == 1.0) return;
  auto* const bytes = static_cast<std::byte*>(data);
  const std::byte* const input = bytes;
  reduce(type, ReduceOp::sum, scale, {&input, 1}, {&bytes, 1}, count);
}

}  // namespace lockstep
