#include "workload.h"

#include <ATen/Context.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <torch/nn/modules/linear.h>

#include <stdexcept>

#include "lockstep/models/registry.h"

namespace {

constexpr int kBatches = 8;  // different ones
constexpr std::uint64_t kWeightSeed = 1, kBatchSeed = 1000;

// Linear layers with relu between them.
struct Perceptron : torch::nn::Module {
  explicit Perceptron(const std::vector<std::int64_t>& widths) {
    for (std::size_t i = 1; i < widths.size(); ++i)
      layers.push_back(register_module("fc" + std::to_string(i), torch::nn::Linear(widths[i - 1], widths[i])));
  }
  at::Tensor forward(at::Tensor x) {
    for (auto& layer : layers) x = layer.ptr() == layers.back().ptr() ? layer(x) : layer(x).relu_();
    return x;
  }
  std::vector<torch::nn::Linear> layers;
};

template <typename Network>
Workload of(std::shared_ptr<Network> network) {
  return {network, [network](const at::Tensor& input) { return network->forward(input); }, {}};
}

struct Shape {
  std::vector<std::int64_t> sample;  // of values, or of tokens
  std::int64_t classes = 10;
  bool tokens = false;
};

void add_batches(Workload& workload, const Shape& shape, std::int64_t batch, int rank) {
  at::manual_seed(kBatchSeed + static_cast<std::uint64_t>(rank));
  std::vector<std::int64_t> sizes = {batch};
  sizes.insert(sizes.end(), shape.sample.begin(), shape.sample.end());
  for (int i = 0; i < kBatches; ++i) {
    const at::Tensor input = shape.tokens ? at::randint(shape.classes, sizes, at::kLong) : at::randn(sizes);
    const at::Tensor target =
        shape.tokens ? at::randint(shape.classes, sizes, at::kLong) : at::randint(shape.classes, {batch}, at::kLong);
    workload.batches.push_back({input, target});
  }
}

}  // namespace

at::Tensor Workload::loss(const LabelledBatch& batch) const {
  const at::Tensor logits = forward(batch.input);
  if (logits.dim() == 2) return at::cross_entropy_loss(logits, batch.target);
  return at::cross_entropy_loss(logits.flatten(0, -2), batch.target.flatten());
}

Workload make_workload(const std::string& name, std::int64_t batch, int rank) {
  at::manual_seed(kWeightSeed);
  Workload workload;
  Shape shape;
  if (name == "cifar_net" || name == "resnet18") {
    workload = of(lockstep::make_model(name, {}));
    shape = {{3, 32, 32}};
  } else if (name == "resnet50") {
    workload = of(lockstep::make_model(name, {.height = 224, .width = 224, .classes = 1000}));
    shape = {{3, 224, 224}, 1000};
  } else if (name == "gpt2") {
    workload = of(lockstep::make_model(name, {.sequence_length = 1024, .vocabulary = 50257}));
    shape = {{1024}, 50257, true};
  } else if (name == "gpt2_tiny") {
    workload = of(lockstep::make_model(name, {.sequence_length = 128, .vocabulary = 256}));
    shape = {{128}, 256, true};
  } else if (name == "mlp_3x256") {
    workload = of(std::make_shared<Perceptron>(std::vector<std::int64_t>{784, 256, 256, 256, 10}));
    shape = {{784}};
  } else if (name == "one_layer") {
    workload = of(std::make_shared<Perceptron>(std::vector<std::int64_t>{4, 10}));
    shape = {{4}};
  } else {
    throw std::invalid_argument("there is no workload " + name);
  }
  add_batches(workload, shape, batch, rank);
  return workload;
}
