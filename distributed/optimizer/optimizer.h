// What all optimizers share: who is updated, with which settings, from which state.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/parameter_groups.h"
#include "lockstep/distributed/optimizer/piece_state.h"
#include "lockstep/distributed/optimizer/stateful.h"
#include "lockstep/distributed/optimizer/step_numbers.h"

namespace lockstep {

struct AdamUpdate;

// Updates the parameters of a DataParallel, which outlives it, in the flat buffers. A parameter without a gradient on
// any rank is skipped, as in PyTorch: its value, its state and its count of steps stay as they are.
//
// Where the DataParallel is sharded (shard_optimizer), each rank has the state of its own shard, updates that, and gets
// the rest from the others: step() is collective. Where the parameters are 16 bits wide, the optimizer computes in
// float32, on copies of the parameters that it keeps ("master"); after a change of a parameter by other means it starts
// from the parameter's new value.
//
// A new one: derive, add_state() in the constructor, and implement update() with for_each_stretch() for the CPU; for
// other devices list_numbers() and update_by_operators().
class Optimizer : public Stateful {
 public:
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // gradient_scale: gradients count as multiplied by it (clipping, gradient_norm.h). Throws Failure(usage) while
  // gradients wait for their synchronisation.
  void step(double gradient_scale = 1);

  // The same in parts, for devices other than the CPU and a graph that repeats their work. First the numbers of the
  // update that follows after `ahead` others, with this learning rate, for the parameters that have a gradient now.
  // Changes nothing.
  std::vector<double> step_numbers(double learning_rate, std::int64_t ahead = 0) const;
  // Then the work: torch's operators and collectives. numbers: [step_numbers().size()] of number_type(), on the device.
  // Counts nothing, so that recording it is no step.
  void step_with(const at::Tensor& numbers, double gradient_scale = 1);
  // Then what the host keeps of it: so many updates were made.
  void count_steps(std::int64_t steps = 1);
  at::ScalarType number_type() const { return is_float_ ? at::kFloat : at::kDouble; }

  const std::string& name() const { return name_; }  // "SGD", "AdamW", …
  double learning_rate() const { return learning_rate_; }
  void set_learning_rate(double value) { learning_rate_ = value; }

  // Tensors shaped as the parameters ("momentum.conv1.weight"), and "steps", an int64 per parameter: the updates it has
  // had.
  NamedTensors state() override;
  NamedTensors state_form() override;
  void load_state(const NamedTensors& values) override;
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

  // Values of the flat buffers that are updated alike: a piece of one parameter, or neighbours and the padding between.
  struct Stretch {
    std::size_t piece = 0;  // of its first value
    int parameter = 0;      // of its first value
    std::int64_t offset = 0, count = 0;
    double learning_rate = 0, weight_decay = 0, gradient_scale = 1;
    std::int64_t step = 1;  // the number of this update, counted from 1 for each parameter
  };

  // For the parameters of one kind, or for all; the state is zero. The reference stays valid.
  PieceState& add_state(std::string name, std::optional<int> kind = {});

  // For optimizers that treat parameters differently: 0 until it is set. Neighbours of two kinds are not merged.
  void set_kind(std::size_t parameter, int kind) { kinds_[parameter] = kind; }
  int kind_of(const Stretch& s) const { return kinds_[static_cast<std::size_t>(s.parameter)]; }

  // By kernels: on_cpu() is true.
  virtual void update() = 0;

  // The moment of an update: its learning rate, and how many updates come before it from now.
  struct Moment {
    double learning_rate = 0;
    std::int64_t ahead = 0;
  };
  // Appends what update_by_operators() will read, in that order; a function of the moment and of what has a gradient.
  virtual void list_numbers(const Moment& moment, std::vector<double>& to) const = 0;
  // By torch's operators. Whatever changes from step to step it takes from `numbers`; on the host it decides only by
  // what stays: settings, shapes, whether an update is a parameter's first.
  virtual void update_by_operators(StepNumbers& numbers) = 0;

  // f(stretch) for all that has a gradient, in the order of the flat buffers. merge: neighbours with equal settings and
  // number of steps come together; their padding holds zeros and must stay so.
  template <typename Function>
  void for_each_stretch(bool merge, const Function& f) const {
    for_each_stretch(merge, {learning_rate_, 0}, f);
  }
  template <typename Function>
  void for_each_stretch(bool merge, const Moment& moment, const Function& f) const;

  // A kernel can be used: contiguous float or double on the CPU. Otherwise torch's operators.
  bool on_cpu() const { return on_cpu_; }
  // f(a value of the kernels' type): [](auto zero) { using T = decltype(zero); … }
  template <typename Function>
  void with_type(const Function& f) const {
    is_float_ ? f(float{}) : f(double{});
  }
  // The same place in parameters, gradients or a state, as pointers and as tensors. Of 16-bit parameters: in the
  // float32 copies.
  template <typename T>
  T* parameters_at(const Stretch& s) const {
    if (master_) return state_at<T>(*master_, s);
    return static_cast<T*>(parameter_data_) + s.offset;
  }
  template <typename T>
  T* gradients_at(const Stretch& s) const {
    if (master_) return static_cast<T*>(wide_gradients_.data_ptr()) + place_in(*master_, s);
    const auto i = static_cast<std::size_t>(s.parameter);
    return static_cast<T*>((*gradients_)[i]) + s.offset - slots_[i];
  }
  template <typename T>
  T* state_at(const PieceState& state, const Stretch& s) const {
    return static_cast<T*>(state.values().data_ptr()) + place_in(state, s);
  }
  // Adam on this stretch, as several optimizers need it: by the kernel, or with the numbers of list_adam_numbers().
  void update_adam_stretch(const Stretch& s, const PieceState& first, const PieceState& second,
                           const AdamUpdate& update) const;
  void update_adam_stretch(const Stretch& s, const PieceState& first, const PieceState& second,
                           const AdamUpdate& update, StepNumbers& numbers) const;
  at::Tensor parameters_of(const Stretch& s) const;
  at::Tensor gradients_of(const Stretch& s) const;  // multiplied by gradient_scale
  at::Tensor state_of(const PieceState& state, const Stretch& s) const;

  DataParallel& model() const { return model_; }
  const std::vector<ShardPiece>& pieces() const { return pieces_; }
  bool is_sharded() const { return model_.plan().shards > 1; }
  // Collective where sharded: numbers to which each rank has added its shard's part.
  void sum_over_shards(const at::Tensor& sums) const;
  // What parameters, gradients and state are computed in.
  at::TensorOptions computing_options() const;

 private:
  bool is_updated(int parameter) const { return model_.has_gradient()[static_cast<std::size_t>(parameter)]; }
  std::int64_t place_in(const PieceState& state, const Stretch& s) const {
    return state.begin(s.piece) + s.offset - pieces_[s.piece].offset;
  }
  // Whether both gradients lie in the flat buffer, with zeros between neighbours.
  bool in_one_piece(std::size_t a, std::size_t b) const {
    const auto in_slot = [&](std::size_t i) {
      return (*gradients_)[i] == static_cast<const char*>(gradient_data_) + slots_[i] * (is_float_ ? 4 : 8);
    };
    return !gradients_ || (in_slot(a) && in_slot(b));
  }
  void widen();
  void narrow();

  DataParallel& model_;
  std::string name_;
  double learning_rate_;
  double gradient_scale_ = 1;
  std::vector<ShardPiece> pieces_;           // that this rank updates
  std::vector<ParameterSettings> settings_;  // per parameter, as the next two
  std::vector<int> kinds_;
  at::Tensor step_tensor_;
  std::int64_t* steps_;
  std::deque<PieceState> states_;
  PieceState* master_ = nullptr;         // null unless parameters are 16 bits wide
  at::Tensor wide_gradients_;            // as master_
  std::vector<std::uint32_t> versions_;  // per parameter, when master_ was equal to it
  bool on_cpu_, is_float_;
  void* parameter_data_;
  void* gradient_data_;
  std::vector<std::int64_t> slots_;                // per parameter: its offset in the flat buffers
  const std::vector<void*>* gradients_ = nullptr;  // during an update by kernels: DataParallel::gradients_in_place()
};

template <typename Function>
void Optimizer::for_each_stretch(bool merge, const Moment& moment, const Function& f) const {
  Stretch stretch;
  for (std::size_t i = 0; i < pieces_.size(); ++i) {
    const ShardPiece& piece = pieces_[i];
    if (!is_updated(piece.parameter)) continue;
    const auto parameter = static_cast<std::size_t>(piece.parameter);
    if (stretch.count > 0) {
      const ShardPiece& before = pieces_[i - 1];
      const auto first = static_cast<std::size_t>(stretch.parameter);
      if (merge && is_updated(before.parameter) && before.offset + before.room == piece.offset &&
          kinds_[parameter] == kinds_[first] && settings_[parameter] == settings_[first] &&
          in_one_piece(first, parameter) && steps_[parameter] == steps_[first]) {
        stretch.count = piece.offset + piece.count - stretch.offset;
        continue;
      }
      f(static_cast<const Stretch&>(stretch));
    }
    stretch = {.piece = i,
               .parameter = piece.parameter,
               .offset = piece.offset,
               .count = piece.count,
               .learning_rate = moment.learning_rate * settings_[parameter].learning_rate_factor,
               .weight_decay = settings_[parameter].weight_decay,
               .gradient_scale = gradient_scale_,
               .step = steps_[parameter] + 1 + moment.ahead};
  }
  if (stretch.count > 0) f(static_cast<const Stretch&>(stretch));
}

}  // namespace lockstep
