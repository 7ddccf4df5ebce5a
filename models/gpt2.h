// Transformers that predict the next token: GPT-2.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "lockstep/models/model.h"

namespace lockstep {

struct Gpt2Plan {
  std::string name;  // for messages: "gpt2"
  std::int64_t layers = 12;
  std::int64_t width = 768;  // of a token's embedding; a multiple of `heads`
  std::int64_t heads = 12;
  std::int64_t context = 1024;  // the longest sequence
};

// Pre-norm blocks, learned positions, gelu by tanh, no dropout; the output's weights are the token embedding's. Names
// of parameters, their order and layout ([in, out] where Hugging Face has a Conv1D), the initial values for a seed,
// logits and gradients are those of GPT2LMHeadModel; as in its files there is no lm_head.weight, which is wte.weight.
// Throws std::invalid_argument for sequences above the context and for a vocabulary below 1.
std::shared_ptr<Model> make_gpt2(const Gpt2Plan& plan, const ModelInput& input, const ModelOptions& options = {});

}  // namespace lockstep
