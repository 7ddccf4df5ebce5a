// What the engine's measurements train: a network and batches that peers/workloads.py makes with the same bits in
// Python, from the same seeds.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

struct LabelledBatch {
  at::Tensor input, target;
};

struct Workload {
  std::shared_ptr<torch::nn::Module> module;
  std::function<at::Tensor(const at::Tensor&)> forward;  // input -> logits
  std::vector<LabelledBatch> batches;                    // of one rank; steps take them in turn, again and again

  // The mean cross entropy of one batch, of tokens over all positions.
  at::Tensor loss(const LabelledBatch& batch) const;
};

// The step all programs take: SGD with momentum.
inline constexpr double kLearningRate = 0.001, kMomentum = 0.9;

// name: cifar_net or resnet18 (3x32x32 pixels), resnet50 (3x224x224, 1,000 classes), gpt2 (1,024 of 50,257 tokens),
// gpt2_tiny (128 of 256 tokens), mlp_3x256 (784 values, three layers of
// 256), one_layer (4 values: all that is left is the engine's own work). batch: samples per step. Throws
// std::invalid_argument for another name.
Workload make_workload(const std::string& name, std::int64_t batch, int rank);
