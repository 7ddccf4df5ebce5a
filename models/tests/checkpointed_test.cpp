// Checkpointed blocks do what plain ones do, bit for bit, in less memory.
#include "lockstep/models/checkpointed.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/dropout.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#include "lockstep/models/registry.h"

namespace lockstep {
namespace {

struct Outcome {
  at::Tensor output;
  std::vector<at::Tensor> tensors;  // gradients and buffers, then the next random numbers
};

void expect_equal_bits(const Outcome& found, const Outcome& expected) {
  EXPECT_TRUE(at::equal(found.output, expected.output));
  ASSERT_EQ(found.tensors.size(), expected.tensors.size());
  for (std::size_t i = 0; i < found.tensors.size(); ++i) {
    ASSERT_EQ(found.tensors[i].defined(), expected.tensors[i].defined()) << "tensor " << i;
    if (!found.tensors[i].defined()) continue;
    EXPECT_TRUE(at::equal(found.tensors[i], expected.tensors[i])) << "tensor " << i;
  }
}

Outcome outcome_of(const torch::nn::Module& module, const at::Tensor& output) {
  Outcome outcome{output.detach(), {}};
  for (const auto& parameter : module.parameters()) outcome.tensors.push_back(parameter.grad());
  for (const auto& buffer : module.buffers()) outcome.tensors.push_back(buffer);
  outcome.tensors.push_back(at::randn({3}));
  return outcome;
}

struct Samples {
  ModelInput kind;
  at::Tensor input, target;
};

Samples samples_for(const std::string& model, std::int64_t count) {
  if (model.starts_with("gpt2")) {
    const ModelInput kind{.sequence_length = 128, .vocabulary = 50};
    return {kind, at::randint(50, {count, 128}, at::kLong), at::randint(50, {count * 128}, at::kLong)};
  }
  const ModelInput kind{.channels = 3, .height = 32, .width = 32};
  return {kind, at::randn({count, 3, 32, 32}), at::randint(10, {count}, at::kLong)};
}

// Two steps, so that what the first leaves in buffers is seen.
Outcome train(const std::string& name, bool checkpoint) {
  at::manual_seed(3);
  const Samples samples = samples_for(name, 2);
  const auto model = make_model(name, samples.kind, {.checkpoint_blocks = checkpoint});
  at::Tensor loss;
  for (int step = 0; step < 2; ++step) {
    loss = at::cross_entropy_loss(model->forward(samples.input).flatten(0, -2), samples.target);
    loss.backward();
  }
  return outcome_of(*model, loss);
}

TEST(Checkpointed, ModelsGiveTheSameBits) {
  for (const std::string name : {"gpt2_tiny", "vit_small", "resnet18", "resnet50"}) {
    SCOPED_TRACE(name);
    expect_equal_bits(train(name, true), train(name, false));
  }
}

TEST(Checkpointed, ModelsWithoutBlocksAreRefused) {
  EXPECT_THROW(make_model("mlp", {}, {.checkpoint_blocks = true}), std::invalid_argument);
}

// Random layers, a norm, a frozen parameter, and one that is used twice or not at all.
struct Part : torch::nn::Module {
  at::Tensor forward(const at::Tensor& x, const at::Tensor& scale) {
    ++calls;
    at::Tensor y = norm(at::dropout(a(x), 0.4, is_training())) * scale;
    return at::dropout((twice ? a : other)(y.relu() + frozen(x)), 0.3, is_training());
  }
  int calls = 0;
  bool twice = true;  // `a` is
  torch::nn::Linear a = register_module("a", torch::nn::Linear(8, 8));
  torch::nn::Linear frozen = register_module("frozen", torch::nn::Linear(8, 8));
  torch::nn::Linear other = register_module("other", torch::nn::Linear(8, 8));
  torch::nn::BatchNorm1d norm = register_module("norm", torch::nn::BatchNorm1d(8));
};

std::shared_ptr<Part> make_part() {
  at::manual_seed(5);
  auto part = std::make_shared<Part>();
  for (const auto& parameter : part->frozen->parameters()) parameter.set_requires_grad(false);
  return part;
}

Outcome run_parts(bool checkpoint, bool bfloat16) {
  const auto first = make_part(), second = make_part();
  // A narrow copy of a parameter that serves several uses adds their gradients up in 16 bits, several copies in 32.
  first->twice = second->twice = !bfloat16;
  const at::Tensor x = at::randn({6, 8}), scale = at::randn({6, 8}).requires_grad_(true);
  at::autocast::set_autocast_enabled(at::kCPU, bfloat16);
  if (bfloat16) at::autocast::increment_nesting();
  at::Tensor y = checkpoint ? checkpointed(first, x, scale) : first->forward(x, scale);
  y = checkpoint ? checkpointed(second, y, scale) : second->forward(y, scale);
  if (bfloat16 && at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
  y.to(at::kFloat).square().sum().backward();
  EXPECT_EQ(first->calls, checkpoint ? 2 : 1);
  Outcome outcome = outcome_of(*first, y);
  const Outcome other = outcome_of(*second, y);
  outcome.tensors.insert(outcome.tensors.end(), other.tensors.begin(), other.tensors.end());
  outcome.tensors.push_back(scale.grad());
  return outcome;
}

TEST(Checkpointed, DropoutIsTheSameInBothPasses) { expect_equal_bits(run_parts(true, false), run_parts(false, false)); }

TEST(Checkpointed, AutocastIsTheSameInBothPasses) { expect_equal_bits(run_parts(true, true), run_parts(false, true)); }

TEST(Checkpointed, GradientsComeOutOfTheOuterBackwardOnce) {
  struct Count : torch::autograd::PostAccumulateGradHook {
    explicit Count(int& counted) : count(counted) {}
    void operator()(const at::Tensor&) override {
      ++count;
      EXPECT_FALSE(c10::GradMode::is_enabled());
    }
    int& count;
  };
  const auto part = make_part();
  int count = 0;
  torch::autograd::impl::set_post_acc_grad_hooks(part->a->weight, std::make_unique<Count>(count));
  checkpointed(part, at::randn({4, 8}), at::randn({4, 8})).sum().backward();
  EXPECT_EQ(count, 1);
}

TEST(Checkpointed, WithoutGradientsItIsAPlainCall) {
  const auto part = make_part();
  const c10::AutoGradMode no_graph(false);
  EXPECT_FALSE(checkpointed(part, at::randn({4, 8}), at::randn({4, 8})).requires_grad());
}

TEST(Checkpointed, AnInputChangedMeanwhileIsAnError) {
  const auto part = make_part();
  const at::Tensor x = at::randn({4, 8});
  const at::Tensor y = checkpointed(part, x, x);
  x.add_(1);
  EXPECT_THROW(y.sum().backward(), c10::Error);
}

// Stands in for LibTorch's allocator on the CPU and counts.
class CountingAllocator : public c10::Allocator {
 public:
  CountingAllocator() { c10::SetAllocator(c10::kCPU, this, kPriority); }
  ~CountingAllocator() override { c10::SetAllocator(c10::kCPU, c10::GetDefaultCPUAllocator(), kPriority); }
  c10::DataPtr allocate(std::size_t bytes) override {
    auto* const block = static_cast<char*>(std::aligned_alloc(64, (bytes + 2 * 64 - 1) / 64 * 64));
    std::memcpy(block, &bytes, sizeof bytes);
    held += bytes;
    peak = std::max(peak, held);
    return {block + 64, block + 64, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t count) const override { std::memcpy(to, from, count); }

  static inline std::size_t held = 0, peak = 0;

 private:
  static constexpr std::uint8_t kPriority = 100;
  static void release(void* data) {
    auto* const block = static_cast<char*>(data) - 64;
    std::size_t bytes = 0;
    std::memcpy(&bytes, block, sizeof bytes);
    held -= bytes;
    std::free(block);
  }
};

struct Peak {
  std::size_t weights, all;
};

Peak peak_of(const std::string& name, std::int64_t count, bool checkpoint) {
  const Samples samples = samples_for(name, count);
  CountingAllocator::held = 0;
  const auto model = make_model(name, samples.kind, {.checkpoint_blocks = checkpoint});
  const std::size_t weights = CountingAllocator::peak = CountingAllocator::held;
  at::cross_entropy_loss(model->forward(samples.input).flatten(0, -2), samples.target).backward();
  return {weights, CountingAllocator::peak};
}

TEST(Checkpointed, NeedsLessMemory) {
  static CountingAllocator allocator;  // tensors of its making may outlive the test
  for (const auto& [name, count] :
       {std::pair<std::string, std::int64_t>{"gpt2_tiny", 8}, {"vit_small", 16}, {"resnet18", 16}}) {
    const Peak plain = peak_of(name, count, false), saving = peak_of(name, count, true);
    std::printf(
        "%s, %lld samples: peak of weights, gradients and activations %.1f MB, checkpointed %.1f MB; weights %.1f MB\n",
        name.c_str(), static_cast<long long>(count), static_cast<double>(plain.all) / 1e6,
        static_cast<double>(saving.all) / 1e6, static_cast<double>(plain.weights) / 1e6);
    // What is not weights and their gradients.
    EXPECT_LT(saving.all - 2 * plain.weights, (plain.all - 2 * plain.weights) * 4 / 5) << name;
  }
}

}  // namespace
}  // namespace lockstep
