// relu after a 2x2 max-pool, as one operation: LibTorch's own pool takes a fifth of a training step of the tutorial's
// network.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

// relu(max_pool2d(input, 2)) with torch's values and gradients, ties and NaN included. relu keeps the order of values,
// so that relu before the pool, as Python's tutorial writes it, gives the same numbers and the same gradients. input:
// [samples, channels, height, width], float32 in contiguous CPU memory; anything else goes through LibTorch's
// operations. Returns [samples, channels, height / 2, width / 2], rounded down. Can be differentiated more than once.
at::Tensor max_pool_relu(const at::Tensor& input);

}  // namespace lockstep
