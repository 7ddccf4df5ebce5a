#include "lockstep/distributed/optimizer/optimizer.h"

#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include <limits>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/module_tensors.h"
#include "lockstep/distributed/optimizer/adam_update.h"

namespace lockstep {

Optimizer::Optimizer(DataParallel& model, std::string name, double learning_rate, double weight_decay,
                     const std::vector<ParameterGroup>& groups)
    : model_(model), name_(std::move(name)), learning_rate_(learning_rate) {
  at_least_zero("learning rate", learning_rate);
  at_least_zero("weight decay", weight_decay);
  std::vector<std::string> names;
  for (const auto& parameter : model.parameters()) names.push_back(parameter.name);
  check_groups(groups, names);
  for (std::size_t i = 0; i < names.size(); ++i)
    settings_.push_back(settings_of(names[i], model.tensors()[i].dim(), groups, weight_decay));
  kinds_.resize(names.size());
  pieces_ = pieces_of(model.plan(), model.shard());
  step_tensor_ = at::zeros({static_cast<std::int64_t>(names.size())}, at::kLong);
  steps_ = step_tensor_.mutable_data_ptr<std::int64_t>();
  const auto& parameters = model.flat_parameters();
  const auto computing = computing_options().dtype().toScalarType();
  if (computing != parameters.scalar_type()) {
    master_ = &add_state("master");
    wide_gradients_ = at::zeros_like(master_->values());
    versions_.assign(names.size(), std::numeric_limits<std::uint32_t>::max());
  }
  is_float_ = computing == at::kFloat;
  on_cpu_ = parameters.is_cpu();
  parameter_data_ = parameters.data_ptr();
  gradient_data_ = model.flat_gradients().data_ptr();
  slots_.resize(names.size());
  for (const auto& bucket : model.plan().buckets)
    for (const auto& slot : bucket.slots) slots_[static_cast<std::size_t>(slot.parameter)] = slot.offset;
}

at::TensorOptions Optimizer::computing_options() const {
  const auto options = model_.flat_parameters().options().requires_grad(false);
  return model_.flat_parameters().element_size() == 2 ? options.dtype(at::kFloat) : options;
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

PieceState& Optimizer::add_state(std::string name, std::optional<int> kind) {
  std::vector<bool> has(kinds_.size());
  for (std::size_t i = 0; i < has.size(); ++i) has[i] = !kind || kinds_[i] == *kind;
  return states_.emplace_back(model_, pieces_, std::move(name), std::move(has),
                              computing_options().dtype().toScalarType());
}

void Optimizer::step(double gradient_scale) {
  const c10::AutoGradMode no_graph(false);
  if (!on_cpu_) {
    model_.prepare_update();
    step_with(numbers_on_device(step_numbers(learning_rate_), number_type(), model_.flat_parameters().device()),
              gradient_scale);
    return count_steps();
  }
  if (!master_) {
    gradients_ = &model_.gradients_in_place();
  } else {
    model_.prepare_update();
    gradients_ = nullptr;
  }
  gradient_scale_ = gradient_scale;
  if (master_) widen();
  update();
  if (master_) narrow();
  model_.gather_shards(model_.flat_parameters());
  count_steps();
}

std::vector<double> Optimizer::step_numbers(double learning_rate, std::int64_t ahead) const {
  std::vector<double> numbers;
  list_numbers({learning_rate, ahead}, numbers);
  return numbers;
}

void Optimizer::step_with(const at::Tensor& numbers, double gradient_scale) {
  const c10::AutoGradMode no_graph(false);
  model_.prepare_update();
  gradients_ = nullptr;
  gradient_scale_ = gradient_scale;
  if (master_) widen();
  StepNumbers to_read(numbers);
  update_by_operators(to_read);
  if (!to_read.all_read())
    fail(ErrorKind::internal,
         "the update of " + name_ + " has not read all of its " + std::to_string(numbers.size(0)) + " numbers");
  if (master_) narrow();
  model_.gather_shards(model_.flat_parameters());
}

void Optimizer::count_steps(std::int64_t steps) {
  for (std::size_t i = 0; i < kinds_.size(); ++i) {
    if (!is_updated(static_cast<int>(i))) continue;
    steps_[i] += steps;
    // As after p.add_(): a backward over a graph that saved the old values is refused, not computed wrongly.
    model_.tensors()[i].unsafeGetTensorImpl()->bump_version();
    if (master_) versions_[i] = static_cast<std::uint32_t>(model_.tensors()[i]._version());
  }
}

// Gradients, and parameters that somebody else has written, in float32.
void Optimizer::widen() {
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const auto& [parameter, offset, count, room] = pieces_[i];
    if (!is_updated(parameter)) continue;
    const auto begin = master_->begin(i);
    wide_gradients_.narrow(0, begin, count).copy_(model_.flat_gradients().narrow(0, offset, count));
    const auto p = static_cast<std::size_t>(parameter);
    if (versions_[p] != static_cast<std::uint32_t>(model_.tensors()[p]._version()))
      master_->values().narrow(0, begin, count).copy_(model_.flat_parameters().narrow(0, offset, count));
  }
}

void Optimizer::narrow() {
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const auto& [parameter, offset, count, room] = pieces_[i];
    if (is_updated(parameter))
      model_.flat_parameters().narrow(0, offset, count).copy_(master_->values().narrow(0, master_->begin(i), count));
  }
}

NamedTensors Optimizer::state() {
  NamedTensors named = {{"steps", step_tensor_}};
  for (auto& state : states_) state.append_state(named);
  return named;
}

NamedTensors Optimizer::state_form() {
  NamedTensors named = {{"steps", step_tensor_}};
  for (const auto& state : states_) state.append_form(named);
  return named;
}

void Optimizer::load_state(const NamedTensors& values) {
  for (const auto& [name, value] : values)
    if (name == "steps") step_tensor_.copy_(value);
  for (auto& state : states_) state.load(values);
  for (std::size_t i = 0; i < versions_.size(); ++i)
    versions_[i] = static_cast<std::uint32_t>(model_.tensors()[i]._version());
}

std::vector<bool> Optimizer::started() const {
  std::vector<bool> started;
  for (std::int64_t i = 0; i < step_tensor_.numel(); ++i) started.push_back(steps_[i] > 0);
  return started;
}

std::int64_t Optimizer::state_bytes() const {
  std::int64_t bytes = 0;
  for (const auto& state : states_) bytes += static_cast<std::int64_t>(state.values().nbytes());
  return bytes;
}

void Optimizer::update_adam_stretch(const Stretch& s, const PieceState& first, const PieceState& second,
                                    const AdamUpdate& update) const {
  with_type([&](auto zero) {
    using T = decltype(zero);
    adam_kernel(parameters_at<T>(s), gradients_at<T>(s), state_at<T>(first, s), state_at<T>(second, s), s.count,
                adam_coefficients<T>(update));
  });
}

void Optimizer::update_adam_stretch(const Stretch& s, const PieceState& first, const PieceState& second,
                                    const AdamUpdate& update, StepNumbers& numbers) const {
  update_adam_by_operators(parameters_of(s), gradients_of(s), state_of(first, s), state_of(second, s), update, numbers);
}

void Optimizer::sum_over_shards(const at::Tensor& sums) const {
  if (!is_sharded()) return;
  model_.communicator()
      .all_reduce({sums.data_ptr(), sums.numel(), data_type(sums.scalar_type())}, ReduceOp::sum)
      .wait();
}

at::Tensor Optimizer::parameters_of(const Stretch& s) const {
  return master_ ? state_of(*master_, s) : model_.flat_parameters().narrow(0, s.offset, s.count);
}

at::Tensor Optimizer::gradients_of(const Stretch& s) const {
  auto gradients = master_ ? wide_gradients_.narrow(0, place_in(*master_, s), s.count)
                           : model_.flat_gradients().narrow(0, s.offset, s.count);
  return s.gradient_scale == 1 ? gradients : gradients.mul(s.gradient_scale);
}

at::Tensor Optimizer::state_of(const PieceState& state, const Stretch& s) const {
  return state.values().narrow(0, place_in(state, s), s.count);
}

}  // namespace lockstep
