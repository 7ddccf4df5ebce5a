#include "lockstep/distributed/optimizer/fused_sgd.h"

#include <ATen/ops/_fused_sgd.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/sgd_kernel.h"

namespace lockstep {

FusedSgd::FusedSgd(DataParallel& model, SgdOptions options)
    : Optimizer(model, "SGD", options.learning_rate, options.weight_decay, options.groups),
      options_(std::move(options)) {
  at_least_zero("momentum", options_.momentum);
  if (options_.nesterov && (options_.momentum <= 0 || options_.dampening != 0)) {
    fail(ErrorKind::usage, "Nesterov momentum needs a momentum above 0 and no dampening; they are " +
                               std::to_string(options_.momentum) + " and " + std::to_string(options_.dampening));
  }
  if (options_.momentum != 0) momentum_ = &add_state("momentum");
}

void FusedSgd::update() {
  for_each_stretch(/*merge=*/true, [&](const Stretch& stretch) {
    with_type([&](auto zero) { update_in_one_pass<decltype(zero)>(stretch); });
  });
}

void FusedSgd::list_numbers(const Moment& moment, std::vector<double>& to) const {
  for_each_stretch(/*merge=*/true, moment, [&](const Stretch& s) { to.push_back(s.learning_rate); });
}

void FusedSgd::update_by_operators(StepNumbers& numbers) {
  for_each_stretch(/*merge=*/true, [&](const Stretch& s) {
    const at::Tensor learning_rate = numbers.next(), parameters = parameters_of(s);
    if (parameters.scalar_type() != at::kFloat) return update_by_plain_operators(s, learning_rate);
    std::vector<at::Tensor> momentum;
    if (momentum_) momentum.push_back(state_of(*momentum_, s));
    at::_fused_sgd_({parameters}, {gradients_of(s)}, momentum, s.weight_decay, options_.momentum, learning_rate,
                    options_.dampening, options_.nesterov, /*maximize=*/false, /*is_first_step=*/s.step == 1, {}, {});
  });
}

template <typename T>
void FusedSgd::update_in_one_pass(const Stretch& s) const {
  const SgdCoefficients<T> c = {.gradient_scale = static_cast<T>(s.gradient_scale),
                                .learning_rate = static_cast<T>(-s.learning_rate),
                                .momentum = static_cast<T>(options_.momentum),
                                .gradient_share = static_cast<T>(1 - options_.dampening),
                                .weight_decay = static_cast<T>(s.weight_decay),
                                .nesterov = options_.nesterov,
                                .first = s.step == 1};
  sgd_kernel(parameters_at<T>(s), gradients_at<T>(s), momentum_ ? state_at<T>(*momentum_, s) : nullptr, s.count, c);
}

void FusedSgd::update_by_plain_operators(const Stretch& s, const at::Tensor& learning_rate) const {
  const auto parameters = parameters_of(s);
  auto gradients = gradients_of(s);
  if (s.weight_decay != 0) gradients = gradients.add(parameters, s.weight_decay);
  if (momentum_) {
    const auto momentum = state_of(*momentum_, s);
    if (s.step == 1) {
      momentum.copy_(gradients);
    } else {
      momentum.mul_(options_.momentum).add_(gradients, 1 - options_.dampening);
    }
    gradients = options_.nesterov ? gradients.add(momentum, options_.momentum) : momentum;
  }
  parameters.addcmul_(gradients, learning_rate, -1);
}

}  // namespace lockstep
