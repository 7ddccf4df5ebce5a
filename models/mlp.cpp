#include "lockstep/models/mlp.h"

#include <ATen/ops/relu.h>

#include "lockstep/models/check_input.h"
#include "lockstep/models/product.h"

namespace lockstep {

Mlp::Mlp(ModelInput input) {
  check_model_input("mlp", input, 1);
  fc1 = register_module("fc1", torch::nn::Linear(input.channels * input.height * input.width, 128));
  fc2 = register_module("fc2", torch::nn::Linear(128, input.classes));
}

at::Tensor Mlp::forward(const at::Tensor& input) {
  return affine(affine(input.flatten(1), fc1->weight, fc1->bias).relu_(), fc2->weight, fc2->bias);
}

}  // namespace lockstep
