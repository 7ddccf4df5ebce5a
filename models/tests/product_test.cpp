// Products by oneDNN against LibTorch's, values and gradients; skipped where LibTorch has no oneDNN.
#include "lockstep/models/product.h"

#include <ATen/autocast_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <array>
#include <functional>
#include <vector>

namespace lockstep {
namespace {

using Affine = std::function<at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&)>;

class Product : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    set_products_by_onednn(true);
    if (!products_by_onednn()) GTEST_SKIP() << "this LibTorch has no oneDNN";
  }
  void TearDown() override { set_products_by_onednn(before_); }

  static Affine affine_of() {
    if (GetParam()) return affine_in_out;
    return affine;
  }
  at::Tensor weight(std::int64_t in, std::int64_t out) const {
    return (GetParam() ? at::randn({in, out}) : at::randn({out, in})).requires_grad_();
  }

 private:
  const bool before_ = products_by_onednn();
};

// The value, the gradients of the inputs, and the gradients of the gradient's squares.
std::vector<at::Tensor> outcome(const Affine& operation, const std::vector<at::Tensor>& inputs,
                                const at::Tensor& factors) {
  const at::Tensor value = operation(inputs[0], inputs[1], inputs[2]);
  std::vector<at::Tensor> found = {value};
  for (const auto& g : torch::autograd::grad({value}, inputs, {factors}, /*retain_graph=*/true)) found.push_back(g);
  const at::Tensor again = torch::autograd::grad({value}, {inputs[0]}, {factors}, true, /*create_graph=*/true)[0];
  found.push_back(torch::autograd::grad({again.square().sum()}, {inputs[1]})[0]);
  return found;
}

double difference(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

TEST_P(Product, EqualsLibTorchsToRounding) {
  for (const auto& [rows, in, out] : {std::array<std::int64_t, 3>{16, 784, 256}, {128, 256, 1024}, {37, 1031, 77}}) {
    const std::vector<at::Tensor> inputs = {at::randn({rows, in}).requires_grad_(), weight(in, out),
                                            at::randn({out}).requires_grad_()};
    const at::Tensor factors = at::randn({rows, out});
    set_products_by_onednn(true);
    const auto ours = outcome(affine_of(), inputs, factors);
    set_products_by_onednn(false);
    const auto truth = outcome(affine_of(), inputs, factors);
    ASSERT_EQ(ours.size(), truth.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      ASSERT_EQ(ours[i].sizes(), truth[i].sizes());
      EXPECT_LT(difference(ours[i], truth[i]), 5e-6) << i << " of " << rows << "x" << in << "x" << out;
    }
    EXPECT_FALSE(at::equal(ours[0], truth[0])) << "both are LibTorch's";
  }
}

TEST_P(Product, TakesSamplesOfSequencesAndOtherStrides) {
  const at::Tensor x = at::randn({64, 4, 96}).transpose(0, 1);  // [4, 64, 96]
  const at::Tensor w = weight(96, 120), bias = at::randn({120});
  const at::Tensor found = affine_of()(x, w, bias);
  set_products_by_onednn(false);
  const at::Tensor truth = affine_of()(x.contiguous(), w, bias);
  ASSERT_EQ(found.sizes(), truth.sizes());
  EXPECT_LT(difference(found, truth), 5e-6);
}

// What it does not take over has LibTorch's bits.
TEST_P(Product, LeavesOtherTypesAndSmallProductsToLibTorch) {
  const at::Tensor small = at::randn({4, 400}), large = at::randn({128, 400}).to(at::kDouble);
  const at::Tensor w = weight(400, 120), bias = at::randn({120});
  const auto results = [&] {
    at::autocast::set_autocast_enabled(at::kCPU, true);
    const at::Tensor cast = affine_of()(at::ones_like(large).to(at::kFloat), w, bias);
    at::autocast::set_autocast_enabled(at::kCPU, false);
    return std::vector<at::Tensor>{affine_of()(small, w, bias),
                                   affine_of()(large, w.to(at::kDouble), bias.to(at::kDouble)), cast};
  };
  const auto ours = results();
  set_products_by_onednn(false);
  const auto truth = results();
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_TRUE(at::equal(ours[i], truth[i])) << i;
  EXPECT_EQ(ours[2].scalar_type(), at::kBFloat16);
}

TEST_P(Product, DoesWithoutBias) {
  if (GetParam()) GTEST_SKIP() << "Conv1D always has one";
  const at::Tensor x = at::randn({128, 256}).requires_grad_(), w = weight(256, 1024);
  const at::Tensor found = affine(x, w, {});
  found.sum().backward();
  const at::Tensor of_weight = w.grad().clone();
  w.mutable_grad().reset();
  set_products_by_onednn(false);
  const at::Tensor truth = affine(x, w, {});
  truth.sum().backward();
  EXPECT_LT(difference(found, truth), 5e-6);
  EXPECT_LT(difference(of_weight, w.grad()), 5e-6);
}

TEST_P(Product, RefusesShapesThatDoNotFit) {
  EXPECT_THROW(affine_of()(at::randn({128, 401}), weight(400, 120), at::randn({120})), c10::Error);
}

INSTANTIATE_TEST_SUITE_P(Layouts, Product, testing::Bool(), [](const auto& p) { return p.param ? "InOut" : "OutIn"; });

}  // namespace
}  // namespace lockstep
