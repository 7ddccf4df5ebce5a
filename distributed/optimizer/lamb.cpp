#include "lockstep/distributed/optimizer/lamb.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>

#include <cmath>

namespace lockstep {
namespace {

enum Kind { adapted, plain };

}  // namespace

Lamb::Lamb(DataParallel& model, LambOptions options)
    : Optimizer(model, "LAMB", options.learning_rate, options.weight_decay, options.groups),
      options_(std::move(options)),
      first_(add_state("exp_avg")),
      second_(add_state("exp_avg_sq")) {
  below_one("beta1", options_.beta1);
  below_one("beta2", options_.beta2);
  at_least_zero("eps", options_.eps);
  for (std::size_t i = 0; i < slots().size(); ++i) {
    const auto& slot = slots()[i];
    parameter_squares_.add_slot(slot.offset, slot.count);
    direction_squares_.add_slot(slot.offset, slot.count);
    if (!options_.adapts_vectors && tensor_of(slot).dim() <= 1) set_kind(i, plain);
  }
}

void Lamb::update() {
  if (!on_cpu()) {
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) { update_by_operators(s); });
    return;
  }
  with_type([&](auto zero) {
    using T = decltype(zero);
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) { update_moments<T>(s); });
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
      lamb_apply_kernel(parameters_at<T>(s), state_at<T>(first_, s), state_at<T>(second_, s),
                        static_cast<T>(-s.learning_rate * trust_ratio(s.slot)), s.count, coefficients<T>(s));
    });
  });
}

template <typename T>
LambCoefficients<T> Lamb::coefficients(const Stretch& s) const {
  const auto step = static_cast<double>(s.step);
  return {.gradient_scale = static_cast<T>(s.gradient_scale),
          .first_share = static_cast<T>(1 - options_.beta1),
          .second_kept = static_cast<T>(options_.beta2),
          .second_share = static_cast<T>(1 - options_.beta2),
          .first_correction = static_cast<T>(1 - std::pow(options_.beta1, step)),
          .second_correction = static_cast<T>(std::sqrt(1 - std::pow(options_.beta2, step))),
          .eps = static_cast<T>(options_.eps),
          .weight_decay = static_cast<T>(s.weight_decay)};
}

template <typename T>
void Lamb::update_moments(const Stretch& s) {
  const auto c = coefficients<T>(s);
  T directions[kCell];
  for_each_cell(s.offset, s.count, [&](std::int64_t begin, std::int64_t count) {
    const auto at = begin - s.offset;
    const T* parameters = parameters_at<T>(s) + at;
    lamb_moments_kernel(parameters, gradients_at<T>(s) + at, state_at<T>(first_, s) + at, state_at<T>(second_, s) + at,
                        directions, count, c);
    parameter_squares_.at(s.slot, begin) = square_sum_kernel(parameters, count);
    direction_squares_.at(s.slot, begin) = square_sum_kernel(directions, count);
  });
}

double Lamb::trust_ratio(std::size_t slot) const {
  if (slots()[slot].kind == plain) return 1;
  const double parameter = parameter_squares_.sum(slot), direction = direction_squares_.sum(slot);
  return parameter > 0 && direction > 0 ? std::sqrt(parameter / direction) : 1;
}

// The ratio stays on the device.
void Lamb::update_by_operators(const Stretch& s) const {
  const auto c = coefficients<double>(s);
  const auto parameters = parameters_of(s), first = state_of(first_, s), second = state_of(second_, s);
  const auto gradients = gradients_of(s);
  first.lerp_(gradients, c.first_share);
  second.mul_(c.second_kept).addcmul_(gradients, gradients, c.second_share);
  auto direction = first.div(c.first_correction).div_(second.sqrt().div_(c.second_correction).add_(c.eps));
  if (c.weight_decay != 0) direction.add_(parameters, c.weight_decay);
  if (slots()[s.slot].kind != plain) {
    const auto ratio = parameters.norm() / direction.norm();
    direction.mul_(at::where(ratio.isfinite().logical_and(ratio.gt(0)), ratio, at::ones_like(ratio)));
  }
  parameters.add_(direction, -s.learning_rate);
}

}  // namespace lockstep
