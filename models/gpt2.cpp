#include "lockstep/models/gpt2.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <torch/nn/modules/normalization.h>

#include <cmath>
#include <stdexcept>
#include <vector>

#include "lockstep/models/attention.h"
#include "lockstep/models/checkpointed.h"
#include "lockstep/models/product.h"

namespace lockstep {
namespace {

using torch::nn::LayerNorm;

constexpr double deviation = 0.02;  // of the initial weights

LayerNorm make_norm(std::int64_t width) { return LayerNorm(torch::nn::LayerNormOptions({width}).eps(1e-5)); }

void draw_normal(at::Tensor tensor, double its_deviation) {
  const c10::AutoGradMode no_grad(false);
  tensor.normal_(0.0, its_deviation);
}

// Hugging Face's Conv1D: x * weight + bias, with weight [in, out].
struct Projection : torch::nn::Module {
  Projection(std::int64_t in, std::int64_t out)
      : weight(register_parameter("weight", at::empty({in, out}))), bias(register_parameter("bias", at::zeros({out}))) {
    draw_normal(weight, deviation);
  }
  at::Tensor forward(const at::Tensor& x) { return affine_in_out(x, weight, bias); }
  at::Tensor weight, bias;
};

struct Embedding : torch::nn::Module {
  Embedding(std::int64_t rows, std::int64_t width) : weight(register_parameter("weight", at::empty({rows, width}))) {
    draw_normal(weight, 1);
  }
  at::Tensor weight;
};

struct Attention : torch::nn::Module {
  explicit Attention(const Gpt2Plan& plan)
      : heads(plan.heads),
        c_attn(register_module("c_attn", std::make_shared<Projection>(plan.width, 3 * plan.width))),
        c_proj(register_module("c_proj", std::make_shared<Projection>(plan.width, plan.width))) {}
  at::Tensor forward(const at::Tensor& x) {
    return c_proj->forward(self_attention(c_attn->forward(x), heads, /*causal=*/true));
  }
  const std::int64_t heads;
  std::shared_ptr<Projection> c_attn, c_proj;
};

struct Perceptron : torch::nn::Module {
  explicit Perceptron(const Gpt2Plan& plan)
      : c_fc(register_module("c_fc", std::make_shared<Projection>(plan.width, 4 * plan.width))),
        c_proj(register_module("c_proj", std::make_shared<Projection>(4 * plan.width, plan.width))) {}
  at::Tensor forward(const at::Tensor& x) { return c_proj->forward(at::gelu(c_fc->forward(x), "tanh")); }
  std::shared_ptr<Projection> c_fc, c_proj;
};

struct Block : torch::nn::Module {
  explicit Block(const Gpt2Plan& plan)
      : ln_1(register_module("ln_1", make_norm(plan.width))),
        attn(register_module("attn", std::make_shared<Attention>(plan))),
        ln_2(register_module("ln_2", make_norm(plan.width))),
        mlp(register_module("mlp", std::make_shared<Perceptron>(plan))) {}
  at::Tensor forward(const at::Tensor& input) {
    const at::Tensor x = attn->forward(ln_1->forward(input)) + input;
    return x + mlp->forward(ln_2->forward(x));
  }
  LayerNorm ln_1;
  std::shared_ptr<Attention> attn;
  LayerNorm ln_2;
  std::shared_ptr<Perceptron> mlp;
};

class Gpt2 : public Model {
 public:
  Gpt2(const Gpt2Plan& plan, std::int64_t vocabulary, bool checkpoint);
  at::Tensor forward(const at::Tensor& input) override;
  std::string own_name(const std::string& name_in_file) const override;

 private:
  void initialize(std::int64_t layers);

  const bool checkpoint_;
  std::shared_ptr<Embedding> wte_, wpe_;  // of tokens, of positions
  std::vector<std::shared_ptr<Block>> blocks_;
  LayerNorm ln_f_{nullptr};
};

Gpt2::Gpt2(const Gpt2Plan& plan, std::int64_t vocabulary, bool checkpoint) : checkpoint_(checkpoint) {
  const auto transformer = register_module("transformer", std::make_shared<torch::nn::Module>());
  wte_ = transformer->register_module("wte", std::make_shared<Embedding>(vocabulary, plan.width));
  wpe_ = transformer->register_module("wpe", std::make_shared<Embedding>(plan.context, plan.width));
  const auto blocks = transformer->register_module("h", std::make_shared<torch::nn::Module>());
  for (std::int64_t i = 0; i < plan.layers; ++i)
    blocks_.push_back(blocks->register_module(std::to_string(i), std::make_shared<Block>(plan)));
  ln_f_ = transformer->register_module("ln_f", make_norm(plan.width));
  initialize(plan.layers);
}

// In Hugging Face's order, whose values follow the generator: each layer's own draws are replaced, and those of c_proj
// once more.
void Gpt2::initialize(std::int64_t layers) {
  // The sum over all blocks shall not grow with their number.
  const double deviation_into_sum = deviation / std::sqrt(2.0 * static_cast<double>(layers));
  draw_normal(wte_->weight, deviation);
  draw_normal(wpe_->weight, deviation);
  for (const auto& block : blocks_) {
    for (const auto& [first, second] :
         {std::pair(block->attn->c_attn, block->attn->c_proj), std::pair(block->mlp->c_fc, block->mlp->c_proj)}) {
      draw_normal(first->weight, deviation);
      draw_normal(second->weight, deviation);
      draw_normal(second->weight, deviation_into_sum);
    }
  }
}

at::Tensor Gpt2::forward(const at::Tensor& input) {
  at::Tensor x = at::embedding(wte_->weight, input) + wpe_->weight.narrow(0, 0, input.size(1));
  x = forward_through(blocks_, x, checkpoint_);
  return affine(ln_f_->forward(x), wte_->weight, /*bias=*/{});
}

// The files of the four published sizes are those of GPT2Model, without "transformer.", and with the masks of old
// versions.
std::string Gpt2::own_name(const std::string& name_in_file) const {
  if (name_in_file == "lm_head.weight") return "transformer.wte.weight";
  if (name_in_file.ends_with(".attn.bias") || name_in_file.ends_with(".attn.masked_bias")) return {};
  return name_in_file.starts_with("transformer.") ? name_in_file : "transformer." + name_in_file;
}

}  // namespace

std::shared_ptr<Model> make_gpt2(const Gpt2Plan& plan, const ModelInput& input, const ModelOptions& options) {
  if (input.vocabulary < 1) {
    throw std::invalid_argument(plan.name + " needs a vocabulary of at least 1 token, not " +
                                std::to_string(input.vocabulary));
  }
  if (input.sequence_length > plan.context) {
    throw std::invalid_argument("sequences of " + std::to_string(input.sequence_length) + " tokens are too long for " +
                                plan.name + ", which sees at most " + std::to_string(plan.context));
  }
  return std::make_shared<Gpt2>(plan, input.vocabulary, options.checkpoint_blocks);
}

}  // namespace lockstep
