#include "lockstep/models/resnet.h"

#include <ATen/ops/adaptive_avg_pool2d.h>
#include <ATen/ops/max_pool2d.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <string>

#include "lockstep/models/check_input.h"
#include "lockstep/models/checkpointed.h"

namespace lockstep {
namespace {

using torch::nn::Conv2d;

constexpr std::int64_t smallest_side = 9;
constexpr std::int64_t largest_side_of_small_stem = 64;

struct Convolution {
  std::int64_t in, out, kernel, stride;
};

Conv2d make(const Convolution& c) {
  return Conv2d(
      torch::nn::Conv2dOptions(c.in, c.out, c.kernel).stride(c.stride).padding(c.kernel / 2).bias(/*new_bias=*/false));
}

Norm batch_norm(std::int64_t channels) {
  const auto layer = std::make_shared<torch::nn::BatchNorm2dImpl>(channels);
  return {layer, [layer](const at::Tensor& x) { return layer->forward(x); }};
}

// A convolution and the norm after it, owned by a module under two names.
struct ConvNorm {
  Conv2d convolution{nullptr};
  std::function<at::Tensor(const at::Tensor&)> norm;

  at::Tensor operator()(const at::Tensor& x) { return norm(convolution->forward(x)); }
};

// Makes both as children of `owner`, in this order, which is the order of their random draws.
ConvNorm add_layer(torch::nn::Module& owner, const std::string& convolution_name, const std::string& norm_name,
                   const Convolution& c, const MakeNorm& make_norm) {
  const Conv2d convolution = owner.register_module(convolution_name, make(c));
  const Norm norm = make_norm(c.out);
  owner.register_module(norm_name, norm.module);
  return {convolution, norm.forward};
}

// What a block adds to its output where their shapes differ: the children "0" and "1".
struct Downsample : torch::nn::Module {
  Downsample(const Convolution& c, const MakeNorm& make_norm) : layer(add_layer(*this, "0", "1", c, make_norm)) {}
  ConvNorm layer;
};

// conv1 - bn1 - relu - conv2 - bn2 [- relu - conv3 - bn3], the input added, relu.
class Block : public torch::nn::Module {
 public:
  Block(const std::vector<Convolution>& convolutions, const MakeNorm& make_norm) {
    const Convolution &first = convolutions.front(), &last = convolutions.back();
    std::int64_t stride = 1;
    for (const auto& c : convolutions) stride *= c.stride;
    // torchvision makes it before the block, and registers it after.
    std::shared_ptr<Downsample> downsample;
    if (stride != 1 || first.in != last.out)
      downsample = std::make_shared<Downsample>(Convolution{first.in, last.out, /*kernel=*/1, stride}, make_norm);
    for (std::size_t i = 0; i < convolutions.size(); ++i) {
      const std::string number = std::to_string(i + 1);
      layers_.push_back(add_layer(*this, "conv" + number, "bn" + number, convolutions[i], make_norm));
    }
    if (downsample) downsample_ = register_module("downsample", downsample);
  }

  at::Tensor forward(const at::Tensor& input) {
    at::Tensor x = input;
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) x = layers_[i](x).relu_();
    x = layers_.back()(x);
    x += downsample_ ? downsample_->layer(input) : input;
    return x.relu_();
  }

 private:
  std::vector<ConvNorm> layers_;
  std::shared_ptr<Downsample> downsample_;  // none: shapes are equal
};

std::vector<Convolution> convolutions_of(bool bottleneck, std::int64_t in, std::int64_t width, std::int64_t stride) {
  if (!bottleneck) return {{in, width, 3, stride}, {width, width, 3, 1}};
  return {{in, width, 1, 1}, {width, width, 3, stride}, {width, 4 * width, 1, 1}};
}

class ResNet : public Model {
 public:
  ResNet(const ResNetPlan& plan, const ModelInput& input, const MakeNorm& make_norm, bool checkpoint);
  at::Tensor forward(const at::Tensor& input) override;

 private:
  void add_blocks(const ResNetPlan& plan, std::size_t number, std::int64_t& channels, const MakeNorm& make_norm);

  const bool small_stem_, checkpoint_;
  ConvNorm stem_;
  std::vector<std::shared_ptr<Block>> blocks_;
  torch::nn::Linear fc_{nullptr};
};

ResNet::ResNet(const ResNetPlan& plan, const ModelInput& input, const MakeNorm& make_norm, bool checkpoint)
    : small_stem_(std::max(input.height, input.width) <= largest_side_of_small_stem), checkpoint_(checkpoint) {
  constexpr std::int64_t width = 64;
  const Convolution stem = small_stem_ ? Convolution{input.channels, width, /*kernel=*/3, /*stride=*/1}
                                       : Convolution{input.channels, width, 7, 2};
  stem_ = add_layer(*this, "conv1", "bn1", stem, make_norm);
  std::int64_t channels = width;
  for (std::size_t number = 1; number <= plan.blocks_of.size(); ++number) add_blocks(plan, number, channels, make_norm);
  fc_ = register_module("fc", torch::nn::Linear(channels, input.classes));
  for (const auto& module : modules(/*include_self=*/false)) {
    if (auto* convolution = module->as<Conv2d>())
      torch::nn::init::kaiming_normal_(convolution->weight, /*a=*/0, torch::kFanOut, torch::kReLU);
  }
}

// channels: what goes in; afterwards what comes out.
void ResNet::add_blocks(const ResNetPlan& plan, std::size_t number, std::int64_t& channels, const MakeNorm& make_norm) {
  const auto layer = std::make_shared<torch::nn::Module>();
  const std::int64_t width = std::int64_t{64} << (number - 1);
  for (std::int64_t i = 0; i < plan.blocks_of[number - 1]; ++i) {
    const std::int64_t stride = number > 1 && i == 0 ? 2 : 1;
    const auto convolutions = convolutions_of(plan.bottleneck, channels, width, stride);
    blocks_.push_back(layer->register_module(std::to_string(i), std::make_shared<Block>(convolutions, make_norm)));
    channels = convolutions.back().out;
  }
  register_module("layer" + std::to_string(number), layer);
}

at::Tensor ResNet::forward(const at::Tensor& input) {
  at::Tensor x = stem_(input).relu_();
  if (!small_stem_) x = at::max_pool2d(x, /*kernel_size=*/3, /*stride=*/2, /*padding=*/1);
  x = forward_through(blocks_, x, checkpoint_);
  return fc_->forward(at::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
}

}  // namespace

std::shared_ptr<Model> make_resnet(const ResNetPlan& plan, const ModelInput& input, const ModelOptions& options) {
  check_model_input(plan.name, input, smallest_side);
  return std::make_shared<ResNet>(plan, input, options.make_norm ? options.make_norm : batch_norm,
                                  options.checkpoint_blocks);
}

}  // namespace lockstep
