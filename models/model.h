// What every model of the registry is: a torch::nn::Module with one forward.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace lockstep {

// The samples a model is made for: images, or, when sequence_length is above 0, sequences of tokens.
struct ModelInput {
  std::int64_t channels = 3;
  std::int64_t height = 32;  // pixels
  std::int64_t width = 32;   // pixels
  std::int64_t classes = 10;
  std::int64_t sequence_length = 0;  // tokens of a sample; 0: the samples are images
  std::int64_t vocabulary = 0;       // of tokens: 0 .. vocabulary - 1
};

// A layer that normalises images: a module, which its owner registers, and what it does.
struct Norm {
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor&)> forward;  // [n, channels, height, width], in and out
};
using MakeNorm = std::function<Norm(std::int64_t channels)>;

// How a model is built, where that does not change what it computes on one rank.
struct ModelOptions {
  // In place of torch::nn::BatchNorm2d, with its names of parameters and buffers. Left out: that layer itself. Models
  // without batch normalisation never call it.
  MakeNorm make_norm = {};
  // Each block keeps its input alone for backward, which computes the rest anew (checkpointed.h).
  bool checkpoint_blocks = false;
};

class Model : public torch::nn::Module {
 public:
  // Of images. input: [n, channels, height, width], floating, on the parameters' device; n may be 0.
  // Returns the logits, [n, classes].
  // Of tokens. input: [n, t], int64 in [0, vocabulary), t at most what the model was made for. Returns the logits of
  // each next token, [n, t, vocabulary].
  // Throws c10::Error when the shape is not the one the model was made for.
  virtual at::Tensor forward(const at::Tensor& input) = 0;

  // What a tensor of a weights file is called here: mostly the same, but a model's authors publish files that leave out
  // a prefix, hold a tied weight under both its names, or tensors that are none of the model's weights: "".
  virtual std::string own_name(const std::string& name_in_file) const { return name_in_file; }
};

}  // namespace lockstep
