// Many small tensors in one broadcast.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// Every tensor ends with root's bits; any shapes, strides, types and devices, of equal sizes on all ranks. One
// collective in memory of `device`, which must be one that the communicator works on; none for an empty list.
void broadcast_packed(Communicator& communicator, const std::vector<at::Tensor>& tensors, at::Device device, int root);

}  // namespace lockstep
