// The numbers of an update that differ from step to step: made on the host, read by torch's operators on the device.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <vector>

namespace lockstep {

// An optimizer's own update and the ones that a CUDA graph repeats (training/step_graph.h) are the same operators: what
// changes (learning rates, bias corrections) comes from memory that the host fills beforehand.
class StepNumbers {
 public:
  // values: [n], of the type that the optimizer computes in.
  explicit StepNumbers(at::Tensor values) : values_(std::move(values)) {}

  // The next number, a 0-dim view. Numbers come in the order in which list_numbers() has listed them.
  at::Tensor next() { return values_.select(0, place_++); }
  void skip(std::int64_t count) { place_ += count; }
  void rewind() { place_ = 0; }
  bool all_read() const { return place_ == values_.size(0); }

 private:
  at::Tensor values_;
  std::int64_t place_ = 0;
};

// [n] of `type` on `device`. To a GPU the copy is only started, in the current stream: the host does not wait.
at::Tensor numbers_on_device(const std::vector<double>& values, at::ScalarType type, c10::Device device);

// Into host memory: [values.size()], float32 or float64, contiguous. Throws Failure(internal) for another length.
void write_numbers(const std::vector<double>& values, const at::Tensor& host);

}  // namespace lockstep
