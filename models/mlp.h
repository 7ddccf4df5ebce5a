// A perceptron with one hidden layer: the smallest model that learns, for any shape of sample.
#pragma once

#include <torch/nn/modules/linear.h>

#include "lockstep/models/model.h"

namespace lockstep {

// fc1 (channels * height * width -> 128) - relu - fc2 (128 -> classes).
class Mlp : public Model {
 public:
  // Throws std::invalid_argument for counts below 1.
  explicit Mlp(ModelInput input);
  at::Tensor forward(const at::Tensor& input) override;

 private:
  torch::nn::Linear fc1{nullptr};
  torch::nn::Linear fc2{nullptr};
};

}  // namespace lockstep
