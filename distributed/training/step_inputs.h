// What recorded steps read: batches and numbers, at places on the device that do not change.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/training/train_step.h"

namespace lockstep {

struct StepLayout {
  std::int64_t steps = 1;          // of the largest launch
  std::int64_t micro_batches = 1;  // of a step
  std::int64_t numbers = 0;        // of a step's optimizer update
  bool averages = false;           // one more for the average of the weights
  at::ScalarType number_type = at::kFloat;
};

// A launch is filled on the host while the device still works on the one before it: two sets of pinned memory take
// turns, and copies run in a stream of their own. Calls for each launch, in this order: wait_until_free, put…, send,
// launched.
class StepInputs {
 public:
  // example: a micro-batch of this rank, for shapes and types. In the current stream.
  StepInputs(const Batch& example, const StepLayout& layout, c10::Device device);

  std::span<const DeviceBatch> batches(std::int64_t step) const;
  UpdateNumbers numbers(std::int64_t step) const;

  // Until the launch before the last is done, whose memory is filled next.
  void wait_until_free();
  // Copies on the host. Throws Failure(internal) for another shape than the example's.
  void put_batch(std::int64_t step, std::int64_t micro_batch, const Batch& batch);
  void put_numbers(std::int64_t step, const std::vector<double>& of_optimizer, std::optional<double> of_average);
  // Starts the copies of the first `steps` steps; what the current stream is given next finds them.
  void send(std::int64_t steps);
  // The work that reads them has been given to the current stream.
  void launched();

 private:
  // inputs [steps * micro_batches, n, …], targets the same, numbers [steps, layout.numbers + average].
  struct Tensors {
    at::Tensor inputs, targets, numbers;
    void copy_from(const Tensors& from, std::int64_t batch_count, std::int64_t steps) const;
  };
  // device_side: the copies' own memory on the device, so that they need not wait for the launch under way.
  struct Slot {
    Tensors host, device_side;
    c10::Event copied, done;
  };
  Tensors make(const Batch& example, const at::TensorOptions& where) const;
  bool on_cpu() const { return device_.is_cpu(); }

  const StepLayout layout_;
  const c10::Device device_;
  Tensors fixed_;  // what the steps read
  std::vector<DeviceBatch> views_;
  std::optional<c10::Stream> copies_;
  std::vector<Slot> slots_;  // empty on the CPU, where fixed_ is filled at once
  std::size_t slot_ = 0;
};

}  // namespace lockstep
