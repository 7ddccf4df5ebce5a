#include "lockstep/models/product.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <atomic>

namespace lockstep {
namespace {

// Below, the calls cost more than they save.
constexpr std::int64_t kSmallestProduct = 1 << 21;  // multiplications

// What torch.compile makes of a linear layer; the only product by oneDNN that takes plain tensors. Null where LibTorch
// was built without.
using OneDnnLinear = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                                std::string_view, c10::List<std::optional<at::Scalar>>,
                                std::optional<std::string_view>);

const c10::TypedOperatorHandle<OneDnnLinear>* onednn_linear() {
  static const auto found = []() -> std::optional<c10::TypedOperatorHandle<OneDnnLinear>> {
    const auto handle = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!handle || !at::globalContext().hasMKLDNN()) return {};
    return handle->typed<OneDnnLinear>();
  }();
  return found ? &*found : nullptr;
}

bool mkl_is_slow_here() {
#if defined(__x86_64__)
  return at::globalContext().hasMKL() && __builtin_cpu_is("amd") && __builtin_cpu_supports("avx512f");
#else
  return false;
#endif
}

std::atomic<bool>& choice() {
  static std::atomic<bool> chosen = mkl_is_slow_here() && onednn_linear() != nullptr;
  return chosen;
}

// a: [m, k], b: [n, k], any strides; a b^T + bias.
at::Tensor times_transposed(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias = {}) {
  static const c10::List<std::optional<at::Scalar>> no_scalars;
  return onednn_linear()->call(a, b, bias, "none", no_scalars, std::nullopt);
}

class OneDnnProduct : public torch::autograd::Function<OneDnnProduct> {
 public:
  // x: [rows, in]; weight: [out, in], or [in, out].
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, bool in_out) {
    context->save_for_backward({x, weight});
    context->saved_data["in_out"] = in_out;
    context->saved_data["bias"] = bias.has_value();
    return times_transposed(x, in_out ? weight.t() : weight, bias);
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* context,
                                               torch::autograd::tensor_list gradients) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &gradient = gradients[0];
    const bool in_out = context->saved_data["in_out"].toBool();
    // create_graph: somebody will differentiate the gradient, which autograd can only do with operations it knows.
    const bool again = at::GradMode::is_enabled();
    const auto product = [&](const at::Tensor& a, const at::Tensor& b) {
      return again ? a.mm(b) : times_transposed(a, b.t());
    };
    at::Tensor of_x, of_weight, of_bias;
    if (context->needs_input_grad(0)) of_x = product(gradient, in_out ? weight.t() : weight);
    if (context->needs_input_grad(1)) of_weight = in_out ? product(x.t(), gradient) : product(gradient.t(), x);
    if (context->saved_data["bias"].toBool() && context->needs_input_grad(2)) of_bias = gradient.sum(0);
    return {of_x, of_weight, of_bias, {}};
  }
};

bool is_plain(const at::Tensor& tensor) { return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat; }

// Shapes that do not fit are left to LibTorch, which says what is wrong with them.
bool takes_onednn(const at::Tensor& x, const at::Tensor& weight, bool in_out) {
  if (!products_by_onednn() || !is_plain(x) || !is_plain(weight)) return false;
  const std::int64_t in = weight.size(in_out ? 0 : 1);
  if (x.dim() == 0 || in == 0 || x.size(-1) != in) return false;
  return x.numel() / in * weight.numel() >= kSmallestProduct && !at::autocast::is_autocast_enabled(at::kCPU);
}

at::Tensor by_onednn(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                     bool in_out) {
  auto shape = x.sizes().vec();
  shape.back() = weight.size(in_out ? 1 : 0);
  return OneDnnProduct::apply(x.reshape({-1, x.size(-1)}), weight, bias, in_out).view(shape);
}

}  // namespace

bool products_by_onednn() { return choice(); }

void set_products_by_onednn(bool chosen) { choice() = chosen && onednn_linear() != nullptr; }

at::Tensor affine(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (takes_onednn(x, weight, /*in_out=*/false)) return by_onednn(x, weight, bias, false);
  return at::linear(x, weight, bias);
}

at::Tensor affine_in_out(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (takes_onednn(x, weight, /*in_out=*/true)) return by_onednn(x, weight, bias, true);
  auto shape = x.sizes().vec();
  shape.back() = weight.size(1);
  return at::addmm(bias, x.view({-1, x.size(-1)}), weight).view(shape);
}

}  // namespace lockstep
