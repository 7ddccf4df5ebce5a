#include "lockstep/distributed/training/small_sums.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <cstring>

namespace lockstep {
namespace {

// A GPU's communicator takes only GPU memory: the numbers go there and come back.
at::Tensor on_device(const void* host, std::size_t count, at::ScalarType type, c10::Device device) {
  return at::from_blob(const_cast<void*>(host), {static_cast<std::int64_t>(count)}, at::TensorOptions(type)).to(device);
}

}  // namespace

void sum_over_ranks(Communicator& communicator, c10::Device device, std::span<double> values) {
  if (communicator.size() == 1) return;
  const auto count = static_cast<std::int64_t>(values.size());
  if (device.is_cpu()) {
    communicator.all_reduce({values.data(), count, DataType::float64}, ReduceOp::sum).wait();
    return;
  }
  const at::Tensor copy = on_device(values.data(), values.size(), at::kDouble, device);
  communicator.all_reduce({copy.data_ptr(), count, DataType::float64}, ReduceOp::sum).wait();
  std::memcpy(values.data(), copy.cpu().const_data_ptr(), values.size_bytes());
}

}  // namespace lockstep
