// Residual networks: torchvision's resnet18, resnet34 and resnet50.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lockstep/models/model.h"

namespace lockstep {

struct ResNetPlan {
  std::string name;                     // for messages: "resnet18"
  std::vector<std::int64_t> blocks_of;  // of layer1 .. layer4
  bool bottleneck = false;              // blocks of 1x1, 3x3, 1x1 convolutions, the last four times as wide
};

// Names of parameters and buffers, their order, the initial values for a seed, logits and gradients are torchvision's.
// Images with a side above 64 pixels go through ImageNet's stem (7x7 convolution of stride 2, 3x3 max-pool of stride
// 2), as there; smaller ones, as is usual for CIFAR, through a 3x3 convolution of stride 1 and no pool. Throws
// std::invalid_argument for images smaller than 9x9 (layer4 would see single pixels, which the batch norm of one sample
// cannot normalise) and for counts below 1.
std::shared_ptr<Model> make_resnet(const ResNetPlan& plan, const ModelInput& input, const ModelOptions& options = {});

}  // namespace lockstep
