#include "lockstep/models/attention.h"

#include <ATen/ops/scaled_dot_product_attention.h>

namespace lockstep {

at::Tensor self_attention(const at::Tensor& projected, std::int64_t heads, bool causal) {
  const std::int64_t n = projected.size(0), t = projected.size(1), width = projected.size(2) / 3;
  const auto parts = projected.view({n, t, 3, heads, width / heads}).permute({2, 0, 3, 1, 4}).unbind(0);
  const auto mixed = at::scaled_dot_product_attention(parts[0], parts[1], parts[2], /*attn_mask=*/{}, /*dropout_p=*/0.0,
                                                      /*is_causal=*/causal);
  return mixed.transpose(1, 2).reshape({n, t, width});
}

}  // namespace lockstep
