// What every model of the registry is: a torch::nn::Module with one forward.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>

namespace lockstep {

// The shape of the samples a model is made for.
struct ModelInput {
  std::int64_t channels = 3;
  std::int64_t height = 32;  // pixels
  std::int64_t width = 32;   // pixels
  std::int64_t classes = 10;
};

class Model : public torch::nn::Module {
 public:
  // input: [n, channels, height, width], floating, on the parameters' device; n may be 0.
  // Returns the logits, [n, classes]. Throws c10::Error when the shape is not the one the model was made for.
  virtual at::Tensor forward(const at::Tensor& input) = 0;
};

}  // namespace lockstep
