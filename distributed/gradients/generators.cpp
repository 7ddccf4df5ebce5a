#include "lockstep/distributed/gradients/generators.h"

#include <ATen/Context.h>

#include <algorithm>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

std::vector<std::pair<std::string, at::Generator>> generators(c10::Device device) {
  std::vector<std::pair<std::string, at::Generator>> found = {
      {"cpu", at::globalContext().defaultGenerator(c10::Device(c10::kCPU))}};
  if (!device.is_cuda()) return found;
  if (!at::hasCUDA())
    fail(ErrorKind::environment, "there is no random-number generator of " + device.str() + ": LibTorch finds no GPU",
         "use a LibTorch with CUDA on a node with a GPU, or --device cpu");
  found.emplace_back("cuda", at::globalContext().defaultGenerator(device));
  return found;
}

}  // namespace

NamedTensors generator_states(c10::Device device) {
  NamedTensors states;
  for (auto& [name, generator] : generators(device)) {
    const std::lock_guard lock(generator.mutex());
    states.emplace_back(name, generator.get_state());
  }
  return states;
}

void set_generator_states(c10::Device device, const NamedTensors& states, std::uint64_t seed) {
  for (auto& [name, generator] : generators(device)) {
    const auto state =
        std::find_if(states.begin(), states.end(), [&](const auto& entry) { return entry.first == name; });
    const std::lock_guard lock(generator.mutex());
    if (state != states.end())
      generator.set_state(state->second);
    else
      generator.set_current_seed(seed);
  }
}

}  // namespace lockstep
