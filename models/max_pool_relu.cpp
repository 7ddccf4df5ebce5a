#include "lockstep/models/max_pool_relu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GLIBC__)
#define LOCKSTEP_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LOCKSTEP_CLONES
#endif
#define LOCKSTEP_INLINE __attribute__((always_inline)) inline

namespace lockstep {
namespace {

constexpr std::uint8_t kNone =
    4;  // of a window whose maximum relu cuts off; 0 .. 3 number the pixels of a window by rows

// Windows are taken in blocks of one vector. Single windows at the end of a row would cost more than all blocks: which
// pixel wins is random, and a branch on it is mispredicted.
constexpr std::int64_t kBlock = 8;
using Floats = float __attribute__((vector_size(4 * kBlock)));
using Numbers = std::int32_t __attribute__((vector_size(4 * kBlock)));
using Bytes = std::uint8_t __attribute__((vector_size(kBlock)));

template <typename Vector, typename Element>
LOCKSTEP_INLINE void load(Vector& vector, const Element* from) {
  std::memcpy(&vector, from, sizeof vector);
}

// As in torch a later pixel wins only when it is greater, or NaN.
LOCKSTEP_INLINE void pool_block(const float* upper, const float* lower, float* result, std::uint8_t* winner) {
  Floats upper_half[2], lower_half[2];
  load(upper_half[0], upper);
  load(upper_half[1], upper + kBlock);
  load(lower_half[0], lower);
  load(lower_half[1], lower + kBlock);
  const Floats pixels[4] = {__builtin_shufflevector(upper_half[0], upper_half[1], 0, 2, 4, 6, 8, 10, 12, 14),
                            __builtin_shufflevector(upper_half[0], upper_half[1], 1, 3, 5, 7, 9, 11, 13, 15),
                            __builtin_shufflevector(lower_half[0], lower_half[1], 0, 2, 4, 6, 8, 10, 12, 14),
                            __builtin_shufflevector(lower_half[0], lower_half[1], 1, 3, 5, 7, 9, 11, 13, 15)};
  Floats largest = {};
  Numbers index = Numbers{} + kNone;
  for (std::int32_t k = 0; k < 4; ++k) {
    const Numbers wins = (pixels[k] > largest) | (pixels[k] != pixels[k]);
    largest = wins ? pixels[k] : largest;
    index = wins ? Numbers{} + k : index;
  }
  const Bytes small = __builtin_convertvector(index, Bytes);
  std::memcpy(result, &largest, sizeof largest);
  std::memcpy(winner, &small, sizeof small);
}

LOCKSTEP_INLINE void spread_block(const float* gradient, const std::uint8_t* winner, float* upper, float* lower) {
  Floats value;
  Bytes small;
  load(value, gradient);
  load(small, winner);
  const Numbers index = __builtin_convertvector(small, Numbers);
  const Floats none = {}, pixels[4] = {index == 0 ? value : none, index == 1 ? value : none, index == 2 ? value : none,
                                       index == 3 ? value : none};
  const Floats halves[4] = {__builtin_shufflevector(pixels[0], pixels[1], 0, 8, 1, 9, 2, 10, 3, 11),
                            __builtin_shufflevector(pixels[0], pixels[1], 4, 12, 5, 13, 6, 14, 7, 15),
                            __builtin_shufflevector(pixels[2], pixels[3], 0, 8, 1, 9, 2, 10, 3, 11),
                            __builtin_shufflevector(pixels[2], pixels[3], 4, 12, 5, 13, 6, 14, 7, 15)};
  std::memcpy(upper, &halves[0], 2 * sizeof value);
  std::memcpy(lower, &halves[2], 2 * sizeof value);
}

// The rest of a row in memory of a whole block.
struct RestOfRow {
  float upper[2 * kBlock] = {}, lower[2 * kBlock] = {}, pooled[kBlock] = {};
  std::uint8_t winner[kBlock] = {};
};

LOCKSTEP_CLONES
void pool_row(const float* upper, const float* lower, std::int64_t windows, float* result, std::uint8_t* winner) {
  std::int64_t i = 0;
  for (; i + kBlock <= windows; i += kBlock) pool_block(upper + 2 * i, lower + 2 * i, result + i, winner + i);
  const std::int64_t left = windows - i;
  if (left == 0) return;
  RestOfRow rest;
  std::copy_n(upper + 2 * i, 2 * left, rest.upper);
  std::copy_n(lower + 2 * i, 2 * left, rest.lower);
  pool_block(rest.upper, rest.lower, rest.pooled, rest.winner);
  std::copy_n(rest.pooled, left, result + i);
  std::copy_n(rest.winner, left, winner + i);
}

LOCKSTEP_CLONES
void spread_row(const float* gradient, const std::uint8_t* winner, std::int64_t windows, float* upper, float* lower) {
  std::int64_t i = 0;
  for (; i + kBlock <= windows; i += kBlock) spread_block(gradient + i, winner + i, upper + 2 * i, lower + 2 * i);
  const std::int64_t left = windows - i;
  if (left == 0) return;
  RestOfRow rest;
  std::copy_n(gradient + i, left, rest.pooled);
  std::copy_n(winner + i, left, rest.winner);
  spread_block(rest.pooled, rest.winner, rest.upper, rest.lower);
  std::copy_n(rest.upper, 2 * left, upper + 2 * i);
  std::copy_n(rest.lower, 2 * left, lower + 2 * i);
}

struct Shape {
  explicit Shape(at::IntArrayRef sizes)
      : planes(sizes[0] * sizes[1]), height(sizes[2]), width(sizes[3]), rows(height / 2), windows(width / 2) {}
  std::int64_t planes, height, width, rows, windows;
};

at::Tensor gradient_of_input(const at::Tensor& gradient, const at::Tensor& winner, at::IntArrayRef sizes) {
  const Shape shape(sizes);
  const bool even = shape.height % 2 == 0 && shape.width % 2 == 0;
  const at::Tensor result = even ? at::empty(sizes, gradient.options()) : at::zeros(sizes, gradient.options());
  const at::Tensor whole = gradient.contiguous();
  const float* from = whole.const_data_ptr<float>();
  const std::uint8_t* which = winner.const_data_ptr<std::uint8_t>();
  float* to = result.mutable_data_ptr<float>();
  for (std::int64_t plane = 0; plane < shape.planes; ++plane) {
    for (std::int64_t row = 0; row < shape.rows; ++row, from += shape.windows, which += shape.windows) {
      float* upper = to + (plane * shape.height + 2 * row) * shape.width;
      spread_row(from, which, shape.windows, upper, upper + shape.width);
    }
  }
  return result;
}

// The same by operations that autograd knows.
at::Tensor differentiable_gradient_of_input(const at::Tensor& gradient, const at::Tensor& winner,
                                            at::IntArrayRef sizes) {
  at::Tensor result = at::zeros(sizes, gradient.options());
  const Shape shape(sizes);
  for (std::int64_t k = 0; k < 4; ++k) {
    result.slice(2, k / 2, 2 * shape.rows, 2).slice(3, k % 2, 2 * shape.windows, 2).add_(gradient.mul(winner.eq(k)));
  }
  return result;
}

class MaxPoolRelu : public torch::autograd::Function<MaxPoolRelu> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& input) {
    const Shape shape(input.sizes());
    const std::vector<std::int64_t> sizes{input.size(0), input.size(1), shape.rows, shape.windows};
    const at::Tensor result = at::empty(sizes, input.options());
    const at::Tensor winner = at::empty(sizes, input.options().dtype(at::kByte));
    const float* from = input.const_data_ptr<float>();
    float* to = result.mutable_data_ptr<float>();
    std::uint8_t* which = winner.mutable_data_ptr<std::uint8_t>();
    for (std::int64_t plane = 0; plane < shape.planes; ++plane) {
      for (std::int64_t row = 0; row < shape.rows; ++row, to += shape.windows, which += shape.windows) {
        const float* upper = from + (plane * shape.height + 2 * row) * shape.width;
        pool_row(upper, upper + shape.width, shape.windows, to, which);
      }
    }
    context->save_for_backward({winner});
    context->saved_data["sizes"] = input.sizes().vec();
    return result;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    const at::Tensor winner = context->get_saved_variables()[0];
    const std::vector<std::int64_t> sizes = context->saved_data["sizes"].toIntVector();
    const bool again = at::GradMode::is_enabled();  // create_graph: somebody will differentiate the gradient
    return {again ? differentiable_gradient_of_input(gradients[0], winner, sizes)
                  : gradient_of_input(gradients[0], winner, sizes)};
  }
};

}  // namespace

at::Tensor max_pool_relu(const at::Tensor& input) {
  const bool direct = input.device().is_cpu() && input.scalar_type() == at::kFloat && input.dim() == 4 &&
                      input.is_contiguous() && input.size(2) > 1 && input.size(3) > 1;
  if (!direct) return at::max_pool2d(input, {2, 2}).relu_();
  return MaxPoolRelu::apply(input);
}

}  // namespace lockstep
