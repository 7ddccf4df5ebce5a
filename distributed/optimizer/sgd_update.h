// The arithmetic of SGD over contiguous values.
#pragma once

#include <ATen/core/Tensor.h>

#include "lockstep/distributed/optimizer/fused_sgd.h"

namespace lockstep {

// One update of `parameters` from `gradients`, all contiguous, of one type, size and device; `momentum` may be
// undefined when options.momentum is 0. first: the momentum holds no value yet. The operations, their order and their
// rounding are those of torch.optim.SGD (foreach and fused off): equal bits for float and double on the CPU, in one
// pass. Everything else uses torch's operators, whose rounding of float16 may depend on a tensor's length.
void update_sgd(const at::Tensor& parameters, const at::Tensor& gradients, const at::Tensor& momentum,
                const SgdOptions& options, bool first);

}  // namespace lockstep
