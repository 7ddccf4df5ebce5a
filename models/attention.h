// Attention over several heads, as all transformers here use it.
#pragma once

#include <ATen/core/Tensor.h>

namespace lockstep {

// projected: [n, t, 3 * width], queries, keys and values side by side, each with `heads` heads side by side. causal:
// position i sees positions 0 .. i only. Returns [n, t, width].
at::Tensor self_attention(const at::Tensor& projected, std::int64_t heads, bool causal);

}  // namespace lockstep
