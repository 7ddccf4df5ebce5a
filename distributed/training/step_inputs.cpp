#include "lockstep/distributed/training/step_inputs.h"

#include <ATen/ops/empty.h>
#include <c10/core/StreamGuard.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/backoff.h"
#include "lockstep/distributed/optimizer/step_numbers.h"
#include "lockstep/distributed/training/stream_scope.h"

namespace lockstep {
namespace {

constexpr int kSlots = 2;

at::Tensor room_for(std::int64_t count, const at::Tensor& one, const at::TensorOptions& where) {
  std::vector<std::int64_t> sizes = {count};
  sizes.insert(sizes.end(), one.sizes().begin(), one.sizes().end());
  return at::empty(sizes, where.dtype(one.scalar_type()));
}

void require_shape(const at::Tensor& found, const at::Tensor& place) {
  if (found.sizes() == place.sizes() && found.scalar_type() == place.scalar_type()) return;
  fail(ErrorKind::internal, "a batch for a recorded step has " + std::to_string(found.numel()) +
                                " values in another shape or type, expected " + std::to_string(place.numel()));
}

}  // namespace

StepInputs::StepInputs(const Batch& example, const StepLayout& layout, c10::Device device)
    : layout_(layout), device_(device), fixed_(make(example, at::TensorOptions(device))) {
  for (std::int64_t i = 0; i < layout.steps * layout.micro_batches; ++i)
    views_.push_back({fixed_.inputs.select(0, i), fixed_.targets.select(0, i)});
  if (on_cpu()) return;
  copies_ = new_stream(device);
  for (int i = 0; i < kSlots; ++i)
    slots_.push_back({make(example, at::TensorOptions(at::kCPU).pinned_memory(true)),
                      make(example, at::TensorOptions(device)), c10::Event(device.type()), c10::Event(device.type())});
  let_wait(*copies_, current_stream(device));  // which may still use the memory for what had it before
}

StepInputs::Tensors StepInputs::make(const Batch& example, const at::TensorOptions& where) const {
  const std::int64_t batches = layout_.steps * layout_.micro_batches;
  return {room_for(batches, example.input, where), room_for(batches, example.target, where),
          at::empty({layout_.steps, layout_.numbers + (layout_.averages ? 1 : 0)}, where.dtype(layout_.number_type))};
}

std::span<const DeviceBatch> StepInputs::batches(std::int64_t step) const {
  const auto count = static_cast<std::size_t>(layout_.micro_batches);
  return std::span(views_).subspan(static_cast<std::size_t>(step) * count, count);
}

UpdateNumbers StepInputs::numbers(std::int64_t step) const {
  const at::Tensor row = fixed_.numbers.select(0, step);
  return {row.narrow(0, 0, layout_.numbers), layout_.averages ? row.select(0, layout_.numbers) : at::Tensor()};
}

void StepInputs::wait_until_free() {
  if (on_cpu()) return;
  const c10::Event& done = slots_[slot_].done;
  // Looking instead of synchronising: a wait of the driver's could hold up a collective of another stream.
  for (Backoff backoff(/*crowded=*/false); !done.query();) backoff.pause();
}

void StepInputs::put_batch(std::int64_t step, std::int64_t micro_batch, const Batch& batch) {
  const Tensors& to = on_cpu() ? fixed_ : slots_[slot_].host;
  const std::int64_t place = step * layout_.micro_batches + micro_batch;
  const at::Tensor input = to.inputs.select(0, place), target = to.targets.select(0, place);
  require_shape(batch.input, input);
  require_shape(batch.target, target);
  input.copy_(batch.input);
  target.copy_(batch.target);
}

void StepInputs::put_numbers(std::int64_t step, const std::vector<double>& of_optimizer,
                             std::optional<double> of_average) {
  const Tensors& to = on_cpu() ? fixed_ : slots_[slot_].host;
  std::vector<double> row = of_optimizer;
  if (of_average) row.push_back(*of_average);
  write_numbers(row, to.numbers.select(0, step));
}

void StepInputs::Tensors::copy_from(const Tensors& from, std::int64_t batch_count, std::int64_t steps) const {
  const auto copy = [](const at::Tensor& to, const at::Tensor& source, std::int64_t count) {
    to.narrow(0, 0, count).copy_(source.narrow(0, 0, count), /*non_blocking=*/true);
  };
  copy(inputs, from.inputs, batch_count);
  copy(targets, from.targets, batch_count);
  copy(numbers, from.numbers, steps);
}

void StepInputs::send(std::int64_t steps) {
  if (on_cpu()) return;
  Slot& slot = slots_[slot_];
  const std::int64_t batches = steps * layout_.micro_batches;
  {
    const c10::StreamGuard guard(*copies_);
    slot.device_side.copy_from(slot.host, batches, steps);
  }
  slot.copied.record(*copies_);
  slot.copied.block(current_stream(device_));
  fixed_.copy_from(slot.device_side, batches, steps);
}

void StepInputs::launched() {
  if (on_cpu()) return;
  slots_[slot_].done.record(current_stream(device_));
  slot_ = (slot_ + 1) % slots_.size();
}

}  // namespace lockstep
