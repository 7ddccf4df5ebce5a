// The network of PyTorch's CIFAR-10 tutorial: two convolutions, three fully connected layers.
#pragma once

#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include "lockstep/models/model.h"

namespace lockstep {

// conv1 (6, 5x5) - relu - pool 2x2 - conv2 (16, 5x5) - relu - pool 2x2 - fc1 (120) - relu - fc2 (84) - relu - fc3.
// 62,006 parameters for 3x32x32 and 10 classes. Names, order, initial values for a seed, logits and gradients are those
// of the tutorial's `Net` in Python.
class CifarNet : public Model {
 public:
  // Throws std::invalid_argument for images smaller than 16x16 (the second pool would have nothing left) and for
  // counts below 1.
  explicit CifarNet(ModelInput input);
  at::Tensor forward(const at::Tensor& input) override;

 private:
  torch::nn::Conv2d conv1{nullptr};
  torch::nn::Conv2d conv2{nullptr};
  torch::nn::Linear fc1{nullptr};
  torch::nn::Linear fc2{nullptr};
  torch::nn::Linear fc3{nullptr};
};

}  // namespace lockstep
