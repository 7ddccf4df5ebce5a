#include "lockstep/distributed/optimizer/lars.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/sgd_kernel.h"

namespace lockstep {
namespace {

enum Kind { adapted, plain };

}  // namespace

Lars::Lars(DataParallel& model, LarsOptions options)
    : Optimizer(model, "LARS", options.learning_rate, options.weight_decay, options.groups),
      options_(std::move(options)),
      parameter_squares_(model.plan()),
      gradient_squares_(model.plan()) {
  at_least_zero("momentum", options_.momentum);
  at_least_zero("trust coefficient", options_.trust_coefficient);
  if (options_.nesterov && options_.momentum <= 0)
    fail(ErrorKind::usage, "Nesterov momentum needs a momentum above 0, it is " + std::to_string(options_.momentum));
  if (options_.momentum != 0) momentum_ = &add_state("momentum");
  for (std::size_t i = 0; i < model.tensors().size(); ++i)
    if (!options_.adapts_vectors && model.tensors()[i].dim() <= 1) set_kind(i, plain);
}

void Lars::update() {
  with_type([&](auto zero) {
    using T = decltype(zero);
    if (is_sharded()) parameter_squares_.clear(), gradient_squares_.clear();
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) { sum_squares<T>(s); });
    if (is_sharded()) {
      Work of_parameters = parameter_squares_.gather(model().communicator());
      gradient_squares_.gather(model().communicator()).wait();
      of_parameters.wait();
    }
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) { apply<T>(s); });
  });
}

template <typename T>
void Lars::sum_squares(const Stretch& s) {
  if (kind_of(s) == plain) return;
  for_each_cell(s.offset, s.count, [&](std::int64_t begin, std::int64_t count) {
    parameter_squares_.at(s.parameter, begin) = square_sum_kernel(parameters_at<T>(s) + (begin - s.offset), count);
    gradient_squares_.at(s.parameter, begin) = square_sum_kernel(gradients_at<T>(s) + (begin - s.offset), count);
  });
}

double Lars::rate(const Stretch& s) const {
  if (kind_of(s) == plain) return 1;
  const double parameter = std::sqrt(parameter_squares_.sum(s.parameter));
  const double gradient = std::sqrt(gradient_squares_.sum(s.parameter)) * s.gradient_scale;
  if (parameter == 0 || gradient == 0) return 1;
  return options_.trust_coefficient * parameter / (gradient + s.weight_decay * parameter);
}

// SGD's kernel does the rest: rate * (grad + decay * p) is a scaled gradient and a scaled decay.
template <typename T>
void Lars::apply(const Stretch& s) const {
  const double rate_here = rate(s);
  const SgdCoefficients<T> c = {.gradient_scale = static_cast<T>(rate_here * s.gradient_scale),
                                .learning_rate = static_cast<T>(-s.learning_rate),
                                .momentum = static_cast<T>(options_.momentum),
                                .gradient_share = 1,
                                .weight_decay = static_cast<T>(rate_here * s.weight_decay),
                                .nesterov = options_.nesterov,
                                .first = s.step == 1};
  sgd_kernel(parameters_at<T>(s), gradients_at<T>(s), momentum_ ? state_at<T>(*momentum_, s) : nullptr, s.count, c);
}

void Lars::list_numbers(const Moment& moment, std::vector<double>& to) const {
  for_each_stretch(/*merge=*/false, moment, [&](const Stretch& s) { to.push_back(s.learning_rate); });
}

// The norms stay on the device.
void Lars::update_by_operators(StepNumbers& numbers) {
  if (!norms_.defined())
    norms_ = at::zeros({static_cast<std::int64_t>(model().tensors().size()), 2}, computing_options());
  norms_.zero_();
  for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
    if (kind_of(s) == plain) return;
    norms_[s.parameter][0].copy_(parameters_of(s).square().sum());
    norms_[s.parameter][1].copy_(gradients_of(s).square().sum());
  });
  sum_over_shards(norms_);
  const auto norms = norms_.sqrt();
  for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
    const auto parameters = parameters_of(s);
    auto gradients = gradients_of(s);
    if (s.weight_decay != 0) gradients = gradients.add(parameters, s.weight_decay);
    if (kind_of(s) == adapted) {
      const auto parameter = norms[s.parameter][0], gradient = norms[s.parameter][1];
      const auto found = parameter * options_.trust_coefficient / (gradient + parameter * s.weight_decay);
      const auto sound = parameter.ne(0).logical_and(gradient.ne(0));
      gradients = gradients * at::where(sound, found, at::ones_like(found));
    }
    if (momentum_) {
      const auto momentum = state_of(*momentum_, s);
      s.step == 1 ? momentum.copy_(gradients) : momentum.mul_(options_.momentum).add_(gradients);
      gradients = options_.nesterov ? gradients.add(momentum, options_.momentum) : momentum;
    }
    parameters.addcmul_(gradients, numbers.next(), -1);
  });
}

}  // namespace lockstep
