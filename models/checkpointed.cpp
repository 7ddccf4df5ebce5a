#include "lockstep/models/checkpointed.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <mutex>

namespace lockstep {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The states of the default generators that the function may draw from.
class GeneratorStates {
 public:
  explicit GeneratorStates(const std::vector<at::Tensor>& inputs) {
    keep(c10::Device(c10::kCPU));
    for (const auto& input : inputs) {
      const auto is_known = [&](const auto& entry) { return entry.first.device() == input.device(); };
      if (!input.is_cpu() && std::none_of(states_.begin(), states_.end(), is_known)) keep(input.device());
    }
  }
  void restore() {
    for (auto& [generator, state] : states_) {
      const std::lock_guard lock(generator.mutex());
      generator.set_state(state);
    }
  }

 private:
  void keep(c10::Device device) {
    at::Generator generator = at::globalContext().defaultGenerator(device);
    const std::lock_guard lock(generator.mutex());
    states_.emplace_back(generator, generator.get_state());
  }
  std::vector<std::pair<at::Generator, at::Tensor>> states_;
};

// The settings of autocast when this was made.
class AutocastSettings {
 public:
  void apply() const {
    for (const auto& [device, enabled, type] : settings_) {
      at::autocast::set_autocast_enabled(device, enabled);
      at::autocast::set_autocast_dtype(device, type);
    }
  }

 private:
  struct Setting {
    c10::DeviceType device;
    bool enabled = at::autocast::is_autocast_enabled(device);
    at::ScalarType type = at::autocast::get_autocast_dtype(device);
  };
  Setting settings_[2] = {{at::kCPU}, {at::kCUDA}};
};

// While alive they hold. Nothing is cached: a narrow copy of a parameter that is made without a graph must not serve a
// later use that needs one.
class AutocastAs {
 public:
  explicit AutocastAs(const AutocastSettings& wanted) {
    wanted.apply();
    at::autocast::set_autocast_cache_enabled(false);
  }
  ~AutocastAs() {
    before_.apply();
    at::autocast::set_autocast_cache_enabled(caching_);
  }
  AutocastAs(const AutocastAs&) = delete;
  AutocastAs& operator=(const AutocastAs&) = delete;

 private:
  const AutocastSettings before_;
  const bool caching_ = at::autocast::is_autocast_cache_enabled();
};

// Buffers get their values back; their version counters do not move, since to autograd nothing has happened.
class KeptBuffers {
 public:
  explicit KeptBuffers(const std::vector<at::Tensor>& buffers) : buffers_(buffers) {
    for (const auto& buffer : buffers) values_.push_back(buffer.variable_data().clone());
  }
  ~KeptBuffers() {
    for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].variable_data().copy_(values_[i]);
  }
  KeptBuffers(const KeptBuffers&) = delete;
  KeptBuffers& operator=(const KeptBuffers&) = delete;

 private:
  const std::vector<at::Tensor>& buffers_;
  std::vector<at::Tensor> values_;
};

// What both passes share; backward finds it through the autograd context.
struct Call : torch::CustomClassHolder {
  Call(const TensorFunction& called, const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& changed)
      : function(called), input_count(inputs.size()), buffers(changed), random(inputs) {}

  const TensorFunction function;
  const std::size_t input_count;
  const std::vector<at::Tensor> buffers;
  GeneratorStates random;
  const AutocastSettings autocast;
};

struct CheckpointFunction : torch::autograd::Function<CheckpointFunction> {
  // tensors: inputs, then parameters.
  static at::Tensor forward(AutogradContext* ctx, const c10::intrusive_ptr<Call>& call, at::TensorList tensors) {
    ctx->saved_data["call"] = c10::IValue::make_capsule(call);
    ctx->save_for_backward(tensors.vec());
    const AutocastAs autocast(call->autocast);
    return call->function({tensors.begin(), tensors.begin() + static_cast<std::ptrdiff_t>(call->input_count)});
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto call = c10::static_intrusive_pointer_cast<Call>(ctx->saved_data["call"].toCapsule());
    variable_list tensors = ctx->get_saved_variables();
    const KeptBuffers kept(call->buffers);
    GeneratorStates now(tensors);
    call->random.restore();
    at::Tensor output;
    for (std::size_t i = 0; i < call->input_count; ++i)
      tensors[i] = tensors[i].detach().requires_grad_(tensors[i].requires_grad());
    {
      const c10::AutoGradMode with_graph(true);
      const AutocastAs autocast(call->autocast);
      output = call->function({tensors.begin(), tensors.begin() + static_cast<std::ptrdiff_t>(call->input_count)});
    }
    now.restore();

    variable_list wanted, result(1 + tensors.size());  // the first belongs to `call`
    for (const auto& tensor : tensors)
      if (tensor.requires_grad()) wanted.push_back(tensor);
    if (!output.requires_grad()) return result;
    const auto found = torch::autograd::grad({output}, wanted, {gradients[0]}, /*retain_graph=*/false,
                                             /*create_graph=*/false, /*allow_unused=*/true);
    for (std::size_t i = 0, next = 0; i < tensors.size(); ++i)
      if (tensors[i].requires_grad()) result[1 + i] = found[next++];
    return result;
  }
};

}  // namespace

at::Tensor checkpointed(const TensorFunction& function, const std::vector<at::Tensor>& inputs,
                        const std::vector<at::Tensor>& parameters, const std::vector<at::Tensor>& buffers) {
  std::vector<at::Tensor> tensors = inputs;
  for (const auto& parameter : parameters)
    if (parameter.requires_grad()) tensors.push_back(parameter);
  const auto differentiable = [](const at::Tensor& tensor) { return tensor.requires_grad(); };
  if (!c10::GradMode::is_enabled() || std::none_of(tensors.begin(), tensors.end(), differentiable))
    return function(inputs);
  return CheckpointFunction::apply(c10::make_intrusive<Call>(function, inputs, buffers), at::TensorList(tensors));
}

}  // namespace lockstep
