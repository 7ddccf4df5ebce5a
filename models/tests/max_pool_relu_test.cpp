// Against LibTorch's relu and max_pool2d, in the order in which Python's tutorial has them.
#include "lockstep/models/max_pool_relu.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>

namespace lockstep {
namespace {

at::Tensor reference(const at::Tensor& x) { return at::max_pool2d(at::relu(x), {2, 2}); }

// The value, the gradient for `weights`, and the gradient of that gradient's squares by the weights.
struct Outcome {
  at::Tensor value, gradient, second;
};

template <typename Operation>
Outcome outcome(Operation operation, const at::Tensor& x, const at::Tensor& weights) {
  const auto input = x.detach().clone().requires_grad_();
  const auto factors = weights.detach().clone().requires_grad_();
  Outcome found;
  found.value = operation(input);
  found.gradient = torch::autograd::grad({found.value}, {input}, {weights}, /*retain_graph=*/true)[0];
  const auto again = torch::autograd::grad({found.value}, {input}, {factors}, true, /*create_graph=*/true)[0];
  found.second = torch::autograd::grad({again.square().sum()}, {factors})[0];
  return found;
}

void expect_equal(const at::Tensor& x) {
  const auto weights = at::randn(reference(x).sizes());
  const auto found = outcome(max_pool_relu, x, weights), truth = outcome(reference, x, weights);
  EXPECT_TRUE(at::equal(found.value.nan_to_num(7), truth.value.nan_to_num(7))) << x.sizes();
  EXPECT_TRUE(at::equal(found.gradient, truth.gradient)) << x.sizes();
  EXPECT_TRUE(at::equal(found.second, truth.second)) << x.sizes();
}

TEST(MaxPoolRelu, EqualsTorchForEveryShape) {
  for (const auto& sizes : std::vector<std::vector<std::int64_t>>{
           {1, 1, 2, 2}, {4, 6, 28, 28}, {4, 16, 10, 10}, {2, 3, 5, 7}, {3, 1, 2, 67}, {1, 2, 33, 3}, {0, 3, 8, 8}}) {
    expect_equal(at::randn(sizes));
  }
}

TEST(MaxPoolRelu, EqualsTorchWhereValuesAreEqual) {
  expect_equal(at::randint(-1, 2, {5, 7, 12, 14}).to(at::kFloat));
  expect_equal(at::zeros({2, 2, 6, 6}));
}

TEST(MaxPoolRelu, PassesOnWhatIsNotFinite) {
  auto x = at::randn({2, 3, 12, 12});
  auto* values = x.data_ptr<float>();
  const float special[] = {std::nanf(""), std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity()};
  for (std::int64_t i = 0; i < x.numel(); ++i)
    if (i % 5 < 3) values[i] = special[(i * i) % 3];
  const auto weights = at::randn({2, 3, 6, 6});
  // relu first makes a NaN win in torch as well; gradients then follow the last NaN of a window in both.
  const auto truth = [](const at::Tensor& input) { return at::max_pool2d(input, {2, 2}).relu(); };
  const auto found = outcome(max_pool_relu, x, weights), expected = outcome(truth, x, weights);
  EXPECT_TRUE(at::equal(found.value.nan_to_num(7), expected.value.nan_to_num(7)));
  EXPECT_TRUE(at::equal(found.gradient, expected.gradient));
}

TEST(MaxPoolRelu, TakesOtherTypesAndLayouts) {
  const auto x = at::randn({2, 3, 9, 8});
  EXPECT_TRUE(at::equal(max_pool_relu(x.to(at::kDouble)), reference(x.to(at::kDouble))));
  EXPECT_TRUE(at::equal(max_pool_relu(x.to(at::kBFloat16)), reference(x.to(at::kBFloat16))));
  EXPECT_TRUE(at::equal(max_pool_relu(x.transpose(2, 3)), reference(x.transpose(2, 3))));
  EXPECT_THROW(max_pool_relu(at::randn({2, 3, 1, 8})), std::exception);
}

}  // namespace
}  // namespace lockstep
