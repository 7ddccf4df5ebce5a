#include "lockstep/distributed/optimizer/lamb.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>

namespace lockstep {
namespace {

enum Kind { adapted, plain };

}  // namespace

Lamb::Lamb(DataParallel& model, LambOptions options)
    : Optimizer(model, "LAMB", options.learning_rate, options.weight_decay, options.groups),
      options_(std::move(options)),
      first_(add_state("exp_avg")),
      second_(add_state("exp_avg_sq")),
      parameter_squares_(model.plan()),
      direction_squares_(model.plan()) {
  below_one("beta1", options_.beta1);
  below_one("beta2", options_.beta2);
  at_least_zero("eps", options_.eps);
  for (std::size_t i = 0; i < model.tensors().size(); ++i)
    if (!options_.adapts_vectors && model.tensors()[i].dim() <= 1) set_kind(i, plain);
}

void Lamb::update() {
  with_type([&](auto zero) {
    using T = decltype(zero);
    if (is_sharded()) parameter_squares_.clear(), direction_squares_.clear();
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) { update_moments<T>(s); });
    if (is_sharded()) {
      Work of_parameters = parameter_squares_.gather(model().communicator());
      direction_squares_.gather(model().communicator()).wait();
      of_parameters.wait();
    }
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
      lamb_apply_kernel(parameters_at<T>(s), state_at<T>(first_, s), state_at<T>(second_, s),
                        static_cast<T>(-s.learning_rate * trust_ratio(s)), s.count, coefficients<T>(s));
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
    parameter_squares_.at(s.parameter, begin) = square_sum_kernel(parameters, count);
    direction_squares_.at(s.parameter, begin) = square_sum_kernel(directions, count);
  });
}

double Lamb::trust_ratio(const Stretch& s) const {
  if (kind_of(s) == plain) return 1;
  const double parameter = parameter_squares_.sum(s.parameter), direction = direction_squares_.sum(s.parameter);
  return parameter > 0 && direction > 0 ? std::sqrt(parameter / direction) : 1;
}

void Lamb::list_numbers(const Moment& moment, std::vector<double>& to) const {
  for_each_stretch(/*merge=*/false, moment, [&](const Stretch& s) {
    const auto c = coefficients<double>(s);
    to.insert(to.end(), {s.learning_rate, c.first_correction, c.second_correction});
  });
}

// The norms stay on the device.
void Lamb::update_by_operators(StepNumbers& numbers) {
  if (!norms_.defined())
    norms_ = at::zeros({static_cast<std::int64_t>(model().tensors().size()), 2}, computing_options());
  norms_.zero_();
  for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
    const auto first = state_of(first_, s), second = state_of(second_, s), gradients = gradients_of(s);
    first.lerp_(gradients, 1 - options_.beta1);
    second.mul_(options_.beta2).addcmul_(gradients, gradients, 1 - options_.beta2);
    numbers.skip(1);
    if (kind_of(s) == plain) return numbers.skip(2);
    norms_[s.parameter][0].copy_(parameters_of(s).square().sum());
    norms_[s.parameter][1].copy_(direction(s, numbers).square().sum());
  });
  sum_over_shards(norms_);
  const auto ratios = norms_.select(1, 0).div(norms_.select(1, 1)).sqrt_();
  const auto sound = at::where(ratios.isfinite().logical_and(ratios.gt(0)), ratios, at::ones_like(ratios));
  numbers.rewind();
  for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
    const auto learning_rate = numbers.next(), step = direction(s, numbers);
    parameters_of(s).addcmul_(kind_of(s) == plain ? step : step.mul_(sound[s.parameter]), learning_rate, -1);
  });
}

at::Tensor Lamb::direction(const Stretch& s, StepNumbers& numbers) const {
  auto direction = state_of(first_, s).div(numbers.next());
  direction.div_(state_of(second_, s).sqrt().div_(numbers.next()).add_(options_.eps));
  if (s.weight_decay != 0) direction.add_(parameters_of(s), s.weight_decay);
  return direction;
}

}  // namespace lockstep
