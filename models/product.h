// Matrix products of linear layers: LibTorch's own, or the same numbers twice as fast where its library does not know
// the processor.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace lockstep {

// x weight^T + bias, as at::linear. x: [..., in]; weight: [out, in], as torch::nn::Linear has it; bias: [out], or
// none. Returns [..., out].
at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

// x weight + bias: weight [in, out], as Hugging Face's Conv1D has it.
at::Tensor affine_in_out(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// LibTorch multiplies float32 matrices with MKL, which on AMD's processors leaves half of AVX-512 unused; oneDNN, which
// LibTorch has as well, does not. Large products take it there, in forward and backward: differences to LibTorch's are
// those of another order of adding, 1e-6 of a tensor's largest. Everything else (small products, other types, devices
// and processors, autocast) is LibTorch's to the bit.
bool products_by_onednn();

// For tests: how it is decided from now on.
void set_products_by_onednn(bool chosen);

}  // namespace lockstep
