#include "lockstep/distributed/training/memory_report.h"

#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace lockstep {
namespace {

// The fields in their order; f(name, value).
template <typename Use, typename Function>
void for_each_value(Use& use, const Function& f) {
  f("weights", use.weights);
  f("gradients", use.gradients);
  f("frozen", use.frozen);
  f("optimizer_state", use.optimizer_state);
  f("communicator", use.communicator);
  f("resident", use.resident);
  f("resident_peak", use.resident_peak);
  f("shared", use.shared);
  f("address_space_peak", use.address_space_peak);
  f("device", use.device);
  f("device_peak", use.device_peak);
  f("device_reserved", use.device_reserved);
}

// "VmHWM:	  123456 kB"
void read_process(MemoryUse& use) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t kilobytes = 0;
    if (!(words >> name >> kilobytes)) continue;
    if (name == "VmRSS:") use.resident = kilobytes * 1024;
    if (name == "VmHWM:") use.resident_peak = kilobytes * 1024;
    if (name == "RssShmem:") use.shared = kilobytes * 1024;
    if (name == "VmPeak:") use.address_space_peak = kilobytes * 1024;
  }
}

void read_device(c10::Device device, MemoryUse& use) {
  if (device.is_cpu()) return;
  const auto statistics = c10::getDeviceAllocator(device.type())->getDeviceStats(device.index());
  constexpr std::size_t all = 0;  // of large and small blocks together
  use.device = statistics.allocated_bytes[all].current;
  use.device_peak = statistics.allocated_bytes[all].peak;
  use.device_reserved = statistics.reserved_bytes[all].current;
}

std::string megabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::int64_t>> named_values(const MemoryUse& use) {
  std::vector<std::pair<std::string, std::int64_t>> values;
  for_each_value(use, [&](const char* name, std::int64_t value) { values.emplace_back(name, value); });
  return values;
}

MemoryUse measure_memory(const torch::nn::Module& module, DataParallel& model, const Optimizer& optimizer) {
  MemoryUse use;
  use.weights = static_cast<std::int64_t>(model.flat_parameters().nbytes());
  use.gradients = static_cast<std::int64_t>(model.flat_gradients().nbytes());
  for (const auto& buffer : module.buffers()) use.frozen += static_cast<std::int64_t>(buffer.nbytes());
  for (const auto& parameter : module.parameters())
    if (!parameter.requires_grad()) use.frozen += static_cast<std::int64_t>(parameter.nbytes());
  use.optimizer_state = optimizer.state_bytes();
  use.communicator = model.communicator().memory_bytes() - use.weights - use.gradients;
  read_process(use);
  read_device(model.tensors()[0].device(), use);
  return use;
}

std::vector<MemoryUse> gather_memory(Communicator& communicator, c10::Device device, const MemoryUse& mine) {
  const auto values = named_values(mine);
  const auto count = static_cast<std::int64_t>(values.size());
  at::Tensor sent = at::empty({count}, at::kLong);
  for (std::int64_t i = 0; i < count; ++i)
    sent.mutable_data_ptr<std::int64_t>()[i] = values[static_cast<std::size_t>(i)].second;
  sent = sent.to(device);
  at::Tensor all = at::empty({communicator.size() * count}, sent.options());
  communicator.all_gather({sent.data_ptr(), count, DataType::int64}, {all.data_ptr(), all.numel(), DataType::int64})
      .wait();
  all = all.cpu();
  const auto* next = all.const_data_ptr<std::int64_t>();
  std::vector<MemoryUse> found(static_cast<std::size_t>(communicator.size()));
  for (auto& use : found) for_each_value(use, [&](const char*, std::int64_t& value) { value = *next++; });
  return found;
}

std::string describe(const std::vector<MemoryUse>& of_ranks) {
  const MemoryUse& first = of_ranks.front();
  std::string text = "memory of a rank: weights " + megabytes(first.weights) + ", gradients " +
                     megabytes(first.gradients) + ", optimizer " + megabytes(first.optimizer_state) +
                     ", communicator " + megabytes(first.communicator);
  const auto largest = [&](std::int64_t MemoryUse::*member) {
    return std::max_element(of_ranks.begin(), of_ranks.end(),
                            [&](const auto& a, const auto& b) { return a.*member < b.*member; });
  };
  const auto add_peak = [&](const char* name, std::int64_t MemoryUse::*now, std::int64_t MemoryUse::*peak) {
    const auto worst = largest(peak);
    text += std::string("; ") + name + " " + megabytes(first.*now) + ", at most " + megabytes((*worst).*peak);
    if (of_ranks.size() > 1) text += " (rank " + std::to_string(worst - of_ranks.begin()) + ")";
  };
  add_peak("resident", &MemoryUse::resident, &MemoryUse::resident_peak);
  if (first.device > 0) add_peak("on the GPU", &MemoryUse::device, &MemoryUse::device_peak);
  return text;
}

}  // namespace lockstep
