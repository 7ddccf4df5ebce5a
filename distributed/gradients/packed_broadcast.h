// Many small tensors in one broadcast.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// Every tensor ends with root's bits; any shapes, strides and types, of equal sizes on all ranks. One collective,
// whatever their number; none for an empty list.
void broadcast_packed(Communicator& communicator, const std::vector<at::Tensor>& tensors, int root);

}  // namespace lockstep
