#include "lockstep/distributed/optimizer/sgd_update.h"

#include <c10/core/GradMode.h>

#include "lockstep/distributed/optimizer/sgd_kernel.h"

namespace lockstep {
namespace {

template <typename T>
void update_in_one_pass(const at::Tensor& parameters, const at::Tensor& gradients, const at::Tensor& momentum,
                        const SgdOptions& options, bool first) {
  SgdCoefficients<T> c;
  c.learning_rate = static_cast<T>(-options.learning_rate);
  c.momentum = static_cast<T>(options.momentum);
  c.gradient_share = static_cast<T>(1 - options.dampening);
  c.weight_decay = static_cast<T>(options.weight_decay);
  c.nesterov = options.nesterov;
  c.first = first;
  sgd_kernel(parameters.mutable_data_ptr<T>(), gradients.const_data_ptr<T>(),
             momentum.defined() ? momentum.mutable_data_ptr<T>() : nullptr, parameters.numel(), c);
}

void update_by_operators(const at::Tensor& parameters, at::Tensor gradients, const at::Tensor& momentum,
                         const SgdOptions& options, bool first) {
  if (options.weight_decay != 0) gradients = gradients.add(parameters, options.weight_decay);
  if (options.momentum != 0) {
    if (first) {
      momentum.copy_(gradients);
    } else {
      momentum.mul_(options.momentum).add_(gradients, 1 - options.dampening);
    }
    gradients = options.nesterov ? gradients.add(momentum, options.momentum) : momentum;
  }
  parameters.add_(gradients, -options.learning_rate);
}

}  // namespace

void update_sgd(const at::Tensor& parameters, const at::Tensor& gradients, const at::Tensor& momentum,
                const SgdOptions& options, bool first) {
  const c10::AutoGradMode no_graph(false);
  if (parameters.is_cpu() && parameters.scalar_type() == at::kFloat) {
    update_in_one_pass<float>(parameters, gradients, momentum, options, first);
  } else if (parameters.is_cpu() && parameters.scalar_type() == at::kDouble) {
    update_in_one_pass<double>(parameters, gradients, momentum, options, first);
  } else {
    update_by_operators(parameters, gradients, momentum, options, first);
  }
}

}  // namespace lockstep
