// The random numbers of a rank: LibTorch's default generators, which random layers draw from.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "lockstep/distributed/gradients/named_tensors.h"

namespace lockstep {

// The states of this rank's generators: "cpu", and "cuda" where `device` is a GPU; each [bytes] uint8 on the CPU.
// Throws Failure(environment) for a GPU that LibTorch does not have.
NamedTensors generator_states(c10::Device device);

// Those of `states` that belong to `device`; a generator without a state there is seeded.
void set_generator_states(c10::Device device, const NamedTensors& states, std::uint64_t seed);

}  // namespace lockstep
