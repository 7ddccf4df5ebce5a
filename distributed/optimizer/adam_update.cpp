#include "lockstep/distributed/optimizer/adam_update.h"

#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>

#include <cmath>
#include <optional>

namespace lockstep {
namespace {

// The form whose learning rate is a tensor.
using FusedAdamOperator = void(at::TensorList, at::TensorList, at::TensorList, at::TensorList, at::TensorList,
                               at::TensorList, const at::Tensor& learning_rate, double beta1, double beta2,
                               double weight_decay, double eps, bool amsgrad, bool maximize,
                               const std::optional<at::Tensor>& grad_scale, const std::optional<at::Tensor>& found_inf);

}  // namespace

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

void list_adam_numbers(const AdamUpdate& update, std::vector<double>& to) {
  const auto c = adam_coefficients<double>(update);
  to.insert(to.end(),
            {update.learning_rate, static_cast<double>(update.step), c.kept, c.second_correction, c.step_size});
}

void update_adam_by_operators(const at::Tensor& parameters, at::Tensor gradients, const at::Tensor& first,
                              const at::Tensor& second, const AdamUpdate& u, StepNumbers& numbers) {
  const auto learning_rate = numbers.next(), step = numbers.next();
  if (parameters.scalar_type() == at::kFloat) {
    numbers.skip(3);
    const auto fused = u.decoupled ? static_cast<FusedAdamOperator*>(at::_fused_adamw_)
                                   : static_cast<FusedAdamOperator*>(at::_fused_adam_);
    return fused({parameters}, {gradients}, {first}, {second}, {}, {step}, learning_rate, u.beta1, u.beta2,
                 u.weight_decay, u.eps, /*amsgrad=*/false, /*maximize=*/false, {}, {});
  }
  const auto kept = numbers.next(), second_correction = numbers.next(), step_size = numbers.next();
  if (u.decoupled && u.weight_decay != 0) parameters.mul_(kept);
  if (!u.decoupled && u.weight_decay != 0) gradients = gradients.add(parameters, u.weight_decay);
  first.lerp_(gradients, 1 - u.beta1);
  second.mul_(u.beta2).addcmul_(gradients, gradients, 1 - u.beta2);
  parameters.addcmul_(first.div(second.sqrt().div_(second_correction).add_(u.eps)), step_size);
}

}  // namespace lockstep
