#include "lockstep/models/cifar_net.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/relu.h>

#include "lockstep/models/check_input.h"
#include "lockstep/models/max_pool_relu.h"

namespace lockstep {
namespace {

constexpr std::int64_t kernel = 5;
constexpr std::int64_t smallest_side = 16;

// Pixels left of a side after two rounds of a 5x5 convolution without padding and a 2x2 pool: 32 -> 28 -> 14 -> 10
// -> 5.
std::int64_t side_after_pools(std::int64_t side) { return ((side - kernel + 1) / 2 - kernel + 1) / 2; }

at::Tensor convolve(const at::Tensor& x, const torch::nn::Conv2d& layer) {
  return max_pool_relu(at::conv2d(x, layer->weight, layer->bias));
}

at::Tensor connect(const at::Tensor& x, const torch::nn::Linear& layer) {
  return at::addmm(layer->bias, x, layer->weight.t());
}

}  // namespace

CifarNet::CifarNet(ModelInput input) {
  check_model_input("cifar_net", input, smallest_side);
  const auto features = 16 * side_after_pools(input.height) * side_after_pools(input.width);
  // In the tutorial's order: each construction draws from the generator.
  conv1 = register_module("conv1", torch::nn::Conv2d(torch::nn::Conv2dOptions(input.channels, 6, kernel)));
  conv2 = register_module("conv2", torch::nn::Conv2d(torch::nn::Conv2dOptions(6, 16, kernel)));
  fc1 = register_module("fc1", torch::nn::Linear(features, 120));
  fc2 = register_module("fc2", torch::nn::Linear(120, 84));
  fc3 = register_module("fc3", torch::nn::Linear(84, input.classes));
}

at::Tensor CifarNet::forward(const at::Tensor& input) {
  auto x = convolve(convolve(input, conv1), conv2).flatten(1);
  x = connect(x, fc1).relu_();
  x = connect(x, fc2).relu_();
  return connect(x, fc3);
}

}  // namespace lockstep
