// A small module with fixed values, and what its tests share.
#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randn.h>
#include <torch/nn/modules/linear.h>

#include <functional>
#include <memory>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep::testing {

using torch::nn::Linear;

// Three layers in a row; `skip` leaves the middle one out.
struct Chain : torch::nn::Module {
  Chain() {
    a = register_module("a", Linear(5, 7));
    b = register_module("b", Linear(7, 7));
    c = register_module("c", Linear(7, 3));
  }
  at::Tensor forward(const at::Tensor& x, bool skip = false) {
    auto hidden = a(x).tanh();
    if (!skip) hidden = b(hidden).tanh();
    return c(hidden);
  }
  Linear a{nullptr}, b{nullptr}, c{nullptr};
};

inline std::shared_ptr<Chain> seeded_chain() {
  auto module = std::make_shared<Chain>();
  auto generator = at::make_generator<at::CPUGeneratorImpl>(711);
  for (auto& parameter : module->parameters()) parameter.detach().normal_(0, 0.5, generator);
  return module;
}

inline at::Tensor input() {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(3);
  return at::randn({4, 5}, generator);
}

inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Failure& failure) {
    return failure.error().what;
  } catch (const std::exception& e) {
    return std::string("not a Failure: ") + e.what();
  }
  return "no failure";
}

}  // namespace lockstep::testing
