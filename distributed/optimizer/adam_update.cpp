#include "lockstep/distributed/optimizer/adam_update.h"

#include <cmath>

namespace lockstep {

template <typename T>
AdamCoefficients<T> adam_coefficients(const AdamUpdate& u) {
  const auto step = static_cast<double>(u.step);
  return {.gradient_scale = static_cast<T>(u.gradient_scale),
          .kept = static_cast<T>(u.decoupled ? 1 - u.learning_rate * u.weight_decay : 1),
          .weight_decay = static_cast<T>(u.decoupled ? 0 : u.weight_decay),
          .first_share = static_cast<T>(1 - u.beta1),
          .second_kept = static_cast<T>(u.beta2),
          .second_share = static_cast<T>(1 - u.beta2),
          .second_correction = static_cast<T>(std::sqrt(1 - std::pow(u.beta2, step))),
          .eps = static_cast<T>(u.eps),
          .step_size = static_cast<T>(-(u.learning_rate / (1 - std::pow(u.beta1, step))))};
}

template AdamCoefficients<float> adam_coefficients(const AdamUpdate&);
template AdamCoefficients<double> adam_coefficients(const AdamUpdate&);

void update_adam_by_operators(const at::Tensor& parameters, at::Tensor gradients, const at::Tensor& first,
                              const at::Tensor& second, const AdamUpdate& update) {
  const auto c = adam_coefficients<double>(update);
  if (c.kept != 1) parameters.mul_(c.kept);
  if (c.weight_decay != 0) gradients = gradients.add(parameters, c.weight_decay);
  first.lerp_(gradients, c.first_share);
  second.mul_(c.second_kept).addcmul_(gradients, gradients, c.second_share);
  parameters.addcdiv_(first, second.sqrt().div_(c.second_correction).add_(c.eps), c.step_size);
}

}  // namespace lockstep
