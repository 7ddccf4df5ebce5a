// Sums of a few numbers over all ranks, through the communicator that the gradients use.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <span>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// Collective, every rank with equally many values. In place; every rank ends with equal bits. device: where the
// communicator's buffers live; the values themselves are in host memory. A few microseconds between two ranks of a
// node.
void sum_over_ranks(Communicator& communicator, c10::Device device, std::span<double> values);

}  // namespace lockstep
