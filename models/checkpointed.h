// Activation checkpointing: less memory for activations, paid with a second forward pass.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace lockstep {

using TensorFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

// function(inputs), keeping only the inputs for backward, which runs the function again to get what it needs: with the
// same random numbers (the default generators of the CPU and of the inputs' devices) and under the same autocast.
// Results and gradients are those of the plain call, bit for bit; only of a parameter that is used outside too, or
// under autocast several times, the gradients of its uses are added in another order.
//
// parameters: every tensor that the function uses beside its inputs and that is to get a gradient. Their gradients come
// out of the one outer backward, so that hooks see them as ever (DataParallel's buckets among them).
// buffers: what the function changes in forward (running statistics). The second pass leaves no trace in them.
//
// The function must do the same both times, and must not change its inputs in place. Not differentiable twice. Without
// anything to differentiate it is a plain call.
at::Tensor checkpointed(const TensorFunction& function, const std::vector<at::Tensor>& inputs,
                        const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& buffers = {});

// module->forward(inputs…) likewise, with all of the module's parameters and buffers.
template <typename Module, typename... Inputs>
at::Tensor checkpointed(const std::shared_ptr<Module>& module, const Inputs&... inputs) {
  return checkpointed(
      [module](const std::vector<at::Tensor>& again) {
        return [&]<std::size_t... I>(std::index_sequence<I...>) { return module->forward(again[I]...); }
        (std::index_sequence_for<Inputs...>());
      },
      std::vector<at::Tensor>{inputs...}, module->parameters(), module->buffers());
}

// x through all blocks, one after the other; checkpoint: each of them checkpointed.
template <typename Block>
at::Tensor forward_through(const std::vector<std::shared_ptr<Block>>& blocks, at::Tensor x, bool checkpoint) {
  for (const auto& block : blocks) x = checkpoint ? checkpointed(block, x) : block->forward(x);
  return x;
}

}  // namespace lockstep
