#include "lockstep/distributed/optimizer/optimizer.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/flat_buffers.h"
#include "lockstep/distributed/optimizer/adam_update.h"

namespace lockstep {

Optimizer::Optimizer(DataParallel& model, std::string name, double learning_rate, double weight_decay,
                     const std::vector<ParameterGroup>& groups)
    : model_(model), name_(std::move(name)), learning_rate_(learning_rate) {
  at_least_zero("learning rate", learning_rate);
  at_least_zero("weight decay", weight_decay);
  std::vector<std::string> names;
  std::vector<std::int64_t> dimensions;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    names.push_back(model.parameters()[i].name);
    dimensions.push_back(model.tensors()[i].dim());
  }
  check_groups(groups, names, dimensions);
  for (const auto& bucket : model.plan().buckets) {
    for (const auto& slot : bucket.slots) {
      const auto i = static_cast<std::size_t>(slot.parameter);
      slots_.push_back({.parameter = slot.parameter,
                        .offset = slot.offset,
                        .count = slot.count,
                        .settings = settings_of(names[i], dimensions[i], groups, weight_decay)});
    }
  }
  step_tensor_ = at::zeros({static_cast<std::int64_t>(names.size())}, at::kLong);
  steps_ = step_tensor_.mutable_data_ptr<std::int64_t>();
  const auto& parameters = model.flat_parameters();
  is_float_ = parameters.scalar_type() == at::kFloat;
  on_cpu_ = parameters.is_cpu() && (is_float_ || parameters.scalar_type() == at::kDouble);
  parameter_data_ = parameters.data_ptr();
  gradient_data_ = model.flat_gradients().data_ptr();
}

void Optimizer::at_least_zero(const char* what, double value) const {
  if (value >= 0) return;
  fail(ErrorKind::usage,
       std::string("the ") + what + " of " + name_ + " is " + std::to_string(value) + ", it must be at least 0");
}

void Optimizer::below_one(const char* what, double value) const {
  at_least_zero(what, value);
  if (value < 1) return;
  fail(ErrorKind::usage,
       std::string("the ") + what + " of " + name_ + " is " + std::to_string(value) + ", it must be below 1");
}

Optimizer::State& Optimizer::add_state(std::string name, std::optional<int> kind) {
  State state{.name = std::move(name), .values = {}, .begin = std::vector<std::int64_t>(slots_.size(), -1)};
  std::int64_t count = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (kind && slots_[i].kind != *kind) continue;
    state.begin[i] = count;
    const auto end = i + 1 < slots_.size() ? slots_[i + 1].offset : model_.plan().value_count;
    count += end - slots_[i].offset;
  }
  state.values = at::zeros({count}, model_.flat_parameters().options().requires_grad(false));
  states_.push_back(std::move(state));
  return states_.back();
}

void Optimizer::step(double gradient_scale) {
  model_.prepare_update();
  const c10::AutoGradMode no_graph(false);
  gradient_scale_ = gradient_scale;
  update();
  for (const auto& slot : slots_) {
    if (!is_updated(slot)) continue;
    ++steps_[slot.parameter];
    // As after p.add_(): a backward over a graph that saved the old values is refused, not computed wrongly.
    tensor_of(slot).unsafeGetTensorImpl()->bump_version();
  }
}

std::vector<std::pair<std::string, at::Tensor>> Optimizer::state() {
  std::vector<std::pair<std::string, at::Tensor>> named = {{"steps", step_tensor_}};
  for (const auto& state : states_) {
    std::vector<std::pair<std::string, at::Tensor>> of_parameter(model_.parameters().size());
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (state.begin[i] < 0) continue;
      const auto& slot = slots_[i];
      of_parameter[static_cast<std::size_t>(slot.parameter)] = {
          state.name + "." + model_.parameters()[static_cast<std::size_t>(slot.parameter)].name,
          slot_view(state.values, {.parameter = slot.parameter, .offset = state.begin[i], .count = slot.count},
                    tensor_of(slot))};
    }
    for (auto& entry : of_parameter)
      if (entry.second.defined()) named.push_back(std::move(entry));
  }
  return named;
}

std::vector<bool> Optimizer::started() const {
  std::vector<bool> started;
  for (std::int64_t i = 0; i < step_tensor_.numel(); ++i) started.push_back(steps_[i] > 0);
  return started;
}

std::int64_t Optimizer::state_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& state : states_) bytes += static_cast<std::int64_t>(state.values.nbytes());
  return bytes;
}

void Optimizer::update_adam_stretch(const Stretch& s, const State& first, const State& second,
                                    const AdamUpdate& update) const {
  if (!on_cpu())
    return update_adam_by_operators(parameters_of(s), gradients_of(s), state_of(first, s), state_of(second, s), update);
  with_type([&](auto zero) {
    using T = decltype(zero);
    adam_kernel(parameters_at<T>(s), gradients_at<T>(s), state_at<T>(first, s), state_at<T>(second, s), s.count,
                adam_coefficients<T>(update));
  });
}

at::Tensor Optimizer::parameters_of(const Stretch& s) const {
  return model_.flat_parameters().narrow(0, s.offset, s.count);
}

at::Tensor Optimizer::gradients_of(const Stretch& s) const {
  auto gradients = model_.flat_gradients().narrow(0, s.offset, s.count);
  return s.gradient_scale == 1 ? gradients : gradients.mul(s.gradient_scale);
}

at::Tensor Optimizer::state_of(const State& state, const Stretch& s) const {
  return state.values.narrow(0, state.begin[s.slot] + s.offset - slots_[s.slot].offset, s.count);
}

}  // namespace lockstep
