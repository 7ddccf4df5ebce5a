// The norm of all gradients together, and its limit.
#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/distributed/gradients/data_parallel.h"

namespace lockstep {

// |g| over all gradients of the model, a scalar on its device: float64 on the CPU, where it is one pass over memory and
// has the same bits for float gradients on every processor. Call it after the synchronisation: then every rank has the
// same. A parameter without a gradient does not count. Collective where the model is sharded. Throws as
// DataParallel::prepare_update().
at::Tensor gradient_norm(DataParallel& model);

struct Clipped {
  at::Tensor norm;   // before clipping
  double scale = 1;  // to be handed to Optimizer::step()
};

// Limits the norm as torch.nn.utils.clip_grad_norm_ does: gradients * min(1, max_norm / (norm + 1e-6)). On the CPU
// nothing is written: the optimizer multiplies by `scale` in the pass that it makes anyway. Elsewhere the gradients are
// multiplied in place by a number that never leaves the device; the host waits for nothing unless it reads `norm`.
//
// A norm that is not finite makes scale NaN or 0 (infinite: 0), as it does in PyTorch: who wants to fail or to skip the
// step looks at `norm` first, which waits for the device.
Clipped clip_gradients(DataParallel& model, double max_norm);

}  // namespace lockstep
