#include "lockstep/distributed/optimizer/step_numbers.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

template <typename T>
void fill(const std::vector<double>& values, const at::Tensor& host) {
  std::transform(values.begin(), values.end(), host.mutable_data_ptr<T>(),
                 [](double value) { return static_cast<T>(value); });
}

}  // namespace

void write_numbers(const std::vector<double>& values, const at::Tensor& host) {
  if (host.numel() != static_cast<std::int64_t>(values.size()))
    fail(ErrorKind::internal, "an update has " + std::to_string(values.size()) + " numbers, there is room for " +
                                  std::to_string(host.numel()));
  host.scalar_type() == at::kDouble ? fill<double>(values, host) : fill<float>(values, host);
}

// Pinned memory comes from LibTorch's cache, which gives it out again when the copy has been made.
at::Tensor numbers_on_device(const std::vector<double>& values, at::ScalarType type, c10::Device device) {
  const at::Tensor host =
      at::empty({static_cast<std::int64_t>(values.size())}, at::TensorOptions(type).pinned_memory(!device.is_cpu()));
  write_numbers(values, host);
  return host.to(device, /*non_blocking=*/true);
}

}  // namespace lockstep
