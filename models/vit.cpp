#include "lockstep/models/vit.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "lockstep/models/attention.h"
#include "lockstep/models/check_input.h"
#include "lockstep/models/checkpointed.h"
#include "lockstep/models/product.h"

namespace lockstep {
namespace {

using torch::nn::LayerNorm;
using torch::nn::Linear;

constexpr std::int64_t width = 384, depth = 12, heads = 6, hidden = 4 * width;
constexpr std::int64_t largest_side_of_small_patches = 64, small_patch = 4, large_patch = 16;
constexpr double deviation = 0.02;  // of the initial weights

LayerNorm make_norm() { return LayerNorm(torch::nn::LayerNormOptions({width}).eps(1e-6)); }

// As Python's: LibTorch's own forward adds the bias in a second pass, which rounds differently and takes longer.
at::Tensor connect(const Linear& layer, const at::Tensor& x) { return affine(x, layer->weight, layer->bias); }

// Python's trunc_normal_(tensor, std=0.02): a normal distribution cut off at -2 and 2, which is 100 deviations away, so
// that its cumulative distribution there is 0 and 1. Drawn, as there, by the inverse of the error function.
void draw_truncated_normal(at::Tensor tensor) {
  const c10::AutoGradMode no_grad(false);
  tensor.uniform_(-1.0, 1.0).erfinv_().mul_(deviation * std::sqrt(2.0)).add_(0.0).clamp_(-2.0, 2.0);
}

void initialize(const Linear& layer) {
  draw_truncated_normal(layer->weight);
  const c10::AutoGradMode no_grad(false);
  layer->bias.zero_();
}

struct Attention : torch::nn::Module {
  at::Tensor forward(const at::Tensor& x) {
    return connect(proj, self_attention(connect(qkv, x), heads, /*causal=*/false));
  }
  Linear qkv = register_module("qkv", Linear(width, 3 * width)), proj = register_module("proj", Linear(width, width));
};

struct Perceptron : torch::nn::Module {
  at::Tensor forward(const at::Tensor& x) { return connect(fc2, at::gelu(connect(fc1, x))); }
  Linear fc1 = register_module("fc1", Linear(width, hidden)), fc2 = register_module("fc2", Linear(hidden, width));
};

struct Block : torch::nn::Module {
  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor x = input + attn->forward(norm1->forward(input));
    return x + mlp->forward(norm2->forward(x));
  }
  LayerNorm norm1 = register_module("norm1", make_norm());
  std::shared_ptr<Attention> attn = register_module("attn", std::make_shared<Attention>());
  LayerNorm norm2 = register_module("norm2", make_norm());
  std::shared_ptr<Perceptron> mlp = register_module("mlp", std::make_shared<Perceptron>());
};

class VisionTransformer : public Model {
 public:
  VisionTransformer(const ModelInput& input, std::int64_t patch, bool checkpoint);
  at::Tensor forward(const at::Tensor& input) override;

 private:
  const bool checkpoint_;
  at::Tensor cls_token_;  // [1, 1, width]
  at::Tensor pos_embed_;  // [1, 1 + patches, width]
  torch::nn::Conv2d patches_{nullptr};
  std::vector<std::shared_ptr<Block>> blocks_;
  LayerNorm norm_{nullptr};
  Linear head_{nullptr};
};

// In timm's order, whose values follow the generator: first each layer's own draws, most of which are then replaced.
VisionTransformer::VisionTransformer(const ModelInput& input, std::int64_t patch, bool checkpoint)
    : checkpoint_(checkpoint) {
  const auto embedding = register_module("patch_embed", std::make_shared<torch::nn::Module>());
  patches_ = embedding->register_module(
      "proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(input.channels, width, patch).stride(patch)));
  const std::int64_t positions = 1 + (input.height / patch) * (input.width / patch);
  cls_token_ = register_parameter("cls_token", at::zeros({1, 1, width}));
  pos_embed_ = register_parameter("pos_embed", at::empty({1, positions, width}));
  const auto blocks = register_module("blocks", std::make_shared<torch::nn::Module>());
  for (std::int64_t i = 0; i < depth; ++i)
    blocks_.push_back(blocks->register_module(std::to_string(i), std::make_shared<Block>()));
  norm_ = register_module("norm", make_norm());
  head_ = register_module("head", Linear(width, input.classes));

  draw_truncated_normal(pos_embed_);
  {
    const c10::AutoGradMode no_grad(false);
    cls_token_.normal_(0.0, 1e-6);
  }
  for (const auto& block : blocks_) {
    for (const auto& layer : {block->attn->qkv, block->attn->proj, block->mlp->fc1, block->mlp->fc2}) initialize(layer);
  }
  initialize(head_);
}

at::Tensor VisionTransformer::forward(const at::Tensor& input) {
  const at::Tensor patches = patches_->forward(input).flatten(2).transpose(1, 2);  // [n, patches, width]
  at::Tensor x = at::cat({cls_token_.expand({input.size(0), -1, -1}), patches}, 1) + pos_embed_;
  x = forward_through(blocks_, x, checkpoint_);
  return connect(head_, norm_->forward(x).select(1, 0));
}

}  // namespace

std::shared_ptr<Model> make_vit_small(const ModelInput& input, const ModelOptions& options) {
  const bool small = std::max(input.height, input.width) <= largest_side_of_small_patches;
  const std::int64_t patch = small ? small_patch : large_patch;
  check_model_input("vit_small", input, patch);
  if (input.height % patch != 0 || input.width % patch != 0) {
    const std::string side = std::to_string(patch);
    throw std::invalid_argument("images of " + std::to_string(input.height) + "x" + std::to_string(input.width) +
                                " pixels cannot be cut into the patches of " + side + "x" + side +
                                " that vit_small sees; it needs sides that are multiples of " + side);
  }
  return std::make_shared<VisionTransformer>(input, patch, options.checkpoint_blocks);
}

}  // namespace lockstep
