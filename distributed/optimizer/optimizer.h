// What all optimizers share: who is updated, with which settings, from which state.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/parameter_groups.h"

namespace lockstep {

struct AdamUpdate;

// Updates the parameters of a DataParallel, which outlives it, in the flat buffers. A parameter without a gradient on
// any rank is skipped, as in PyTorch: its value, its state and its count of steps stay as they are.
//
// A new one: derive, add_state() in the constructor, and implement update() with for_each_stretch().
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // gradient_scale: gradients count as multiplied by it (clipping, gradient_norm.h). Throws Failure(usage) while
  // gradients wait for their synchronisation.
  void step(double gradient_scale = 1);

  const std::string& name() const { return name_; }  // "SGD", "AdamW", …
  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double value) { learning_rate_ = value; }

  // All of it, for checkpoints: named views, shaped as the parameters ("momentum.conv1.weight"), and "steps", an int64
  // per parameter: the updates it has had. Loading is copying into the views.
  std::vector<std::pair<std::string, at::Tensor>> state();
  // Of this rank, without the counts of steps.
  std::int64_t state_bytes() const;

  // For tests: torch's operators also where a kernel would do.
  void use_operators() { on_cpu_ = false; }

  // Whether each parameter has been updated: part of state(), as "steps".
  std::vector<bool> started() const;

 protected:
  // Throws Failure(usage) for a negative learning rate or weight decay, and for groups that check_groups refuses.
  Optimizer(DataParallel& model, std::string name, double learning_rate, double weight_decay,
            const std::vector<ParameterGroup>& groups);

  // Throws Failure(usage): "the momentum of SGD is -1.000000, it must be at least 0".
  void at_least_zero(const char* what, double value) const;
  void below_one(const char* what, double value) const;

  struct Slot {
    int parameter = 0;
    std::int64_t offset = 0, count = 0;  // elements in the flat buffers
    int kind = 0;  // for optimizers that treat parameters differently: neighbours of two kinds are not merged
    ParameterSettings settings;
  };

  // A piece of the flat buffers that is updated alike: one parameter, or neighbours and the padding between them.
  struct Stretch {
    std::size_t slot = 0;  // of its first value
    std::int64_t offset = 0, count = 0;
    double learning_rate = 0, weight_decay = 0, gradient_scale = 1;
    std::int64_t step = 1;  // the number of this update, counted from 1 for each parameter
  };

  // State of one kind, shaped as the parameters that have it.
  struct State {
    std::string name;
    at::Tensor values;                // flat, padded as the parameters
    std::vector<std::int64_t> begin;  // per slot: where its values begin; -1: the parameter has none
  };

  // For the parameters of one kind, or for all; the state is zero. The reference stays valid.
  State& add_state(std::string name, std::optional<int> kind = {});

  virtual void update() = 0;

  // f(stretch) for all that has a gradient, in the order of the flat buffers. merge: neighbours with equal settings and
  // number of steps come together; their padding holds zeros and must stay so.
  template <typename Function>
  void for_each_stretch(bool merge, const Function& f) const;

  // A kernel can be used: contiguous float or double on the CPU. Otherwise torch's operators.
  bool on_cpu() const { return on_cpu_; }
  // f(a value of the kernels' type): [](auto zero) { using T = decltype(zero); … }
  template <typename Function>
  void with_type(const Function& f) const {
    is_float_ ? f(float{}) : f(double{});
  }
  // The same place in parameters, gradients or a state, as pointers and as tensors.
  template <typename T>
  T* parameters_at(const Stretch& s) const {
    return static_cast<T*>(parameter_data_) + s.offset;
  }
  template <typename T>
  const T* gradients_at(const Stretch& s) const {
    return static_cast<const T*>(gradient_data_) + s.offset;
  }
  template <typename T>
  T* state_at(const State& state, const Stretch& s) const {
    return static_cast<T*>(state.values.data_ptr()) + state.begin[s.slot] + s.offset - slots_[s.slot].offset;
  }
  // Adam on this stretch, as several optimizers need it.
  void update_adam_stretch(const Stretch& s, const State& first, const State& second, const AdamUpdate& update) const;
  at::Tensor parameters_of(const Stretch& s) const;
  at::Tensor gradients_of(const Stretch& s) const;  // multiplied by gradient_scale
  at::Tensor state_of(const State& state, const Stretch& s) const;

  DataParallel& model() const { return model_; }
  const std::vector<Slot>& slots() const { return slots_; }
  const at::Tensor& tensor_of(const Slot& slot) const {
    return model_.tensors()[static_cast<std::size_t>(slot.parameter)];
  }
  const std::string& name_of(const Slot& slot) const {
    return model_.parameters()[static_cast<std::size_t>(slot.parameter)].name;
  }
  void set_kind(std::size_t slot, int kind) { slots_[slot].kind = kind; }

 private:
  bool is_updated(const Slot& slot) const { return model_.has_gradient()[static_cast<std::size_t>(slot.parameter)]; }

  DataParallel& model_;
  std::string name_;
  double learning_rate_;
  double gradient_scale_ = 1;
  std::vector<Slot> slots_;  // in the order of the flat buffers
  at::Tensor step_tensor_;
  std::int64_t* steps_;  // per parameter
  std::deque<State> states_;
  bool on_cpu_, is_float_;
  void* parameter_data_;
  const void* gradient_data_;
};

template <typename Function>
void Optimizer::for_each_stretch(bool merge, const Function& f) const {
  Stretch stretch;
  const auto steps_of = [&](const Slot& slot) { return steps_[slot.parameter]; };
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    if (!is_updated(slot)) continue;
    if (stretch.count > 0) {
      const Slot& before = slots_[i - 1];
      const Slot& first = slots_[stretch.slot];
      if (merge && is_updated(before) && slot.kind == first.kind && slot.settings == first.settings &&
          steps_of(slot) == steps_of(first)) {
        stretch.count = slot.offset + slot.count - stretch.offset;
        continue;
      }
      f(static_cast<const Stretch&>(stretch));
    }
    stretch = {.slot = i,
               .offset = slot.offset,
               .count = slot.count,
               .learning_rate = learning_rate_ * slot.settings.learning_rate_factor,
               .weight_decay = slot.settings.weight_decay,
               .gradient_scale = gradient_scale_,
               .step = steps_of(slot) + 1};
  }
  if (stretch.count > 0) f(static_cast<const Stretch&>(stretch));
}

}  // namespace lockstep
