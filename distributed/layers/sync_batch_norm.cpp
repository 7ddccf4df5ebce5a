#include "lockstep/distributed/layers/sync_batch_norm.h"

#include <ATen/ops/batch_norm_update_stats.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::ScalarType type_of_sums(const at::Tensor& input) {
  return input.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

struct BatchStatistics {
  at::Tensor mean, variance;  // [C], of the type of sums; the variance is that of the samples themselves (biased)
  at::Tensor count;           // scalar float64: values per channel
};

void check_count(const at::Tensor& count) {
  if (!count.is_cpu() || count.item<double>() != 1) return;
  fail(ErrorKind::usage, "SyncBatchNorm got 1 value per channel from all ranks together",
       "a variance needs at least 2: train on larger batches, or call eval()");
}

// Two passes over this rank's values give their mean and the sum of squared distances M2 from it. From there on it is
// the merge of T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
// Statistician 37 (1983): M2 of all = sum of M2 + n·mean² over ranks - N·(mean of all)². The difference loses
// (mean/deviation)² in relative precision, which float64 has to spare (up to 1e4 it is still below float32's rounding),
// and in this form one sum over ranks is enough, whatever their number.
BatchStatistics statistics_of_all(const at::Tensor& input, Communicator& communicator) {
  const std::int64_t channels = input.size(1), count = input.numel() / std::max<std::int64_t>(channels, 1);
  const auto exact = input.options().dtype(at::kDouble).memory_format(c10::nullopt);
  at::Tensor sums = at::zeros({2 * channels + 1}, exact);
  if (count > 0) {
    // The running statistics, which nobody reads, say in which type to compute where the input has 16 bits.
    const at::Tensor scratch = at::zeros({2, channels}, exact.dtype(type_of_sums(input)));
    const auto [mean, variance] = at::batch_norm_update_stats(input, scratch[0], scratch[1], /*momentum=*/0);
    const at::Tensor exact_mean = mean.to(at::kDouble);
    sums.narrow(0, 0, channels).copy_(exact_mean * count);
    sums.narrow(0, channels, channels).copy_((variance.to(at::kDouble) + exact_mean.square()) * count);
    sums.narrow(0, 2 * channels, 1).fill_(static_cast<double>(count));
  }
  communicator.all_reduce({sums.data_ptr(), sums.numel(), DataType::float64}, ReduceOp::sum).wait();
  const at::Tensor total = sums[2 * channels];
  check_count(total);
  const at::Tensor divisor = total.clamp_min(1);  // all ranks may be empty
  const at::Tensor mean = sums.narrow(0, 0, channels) / divisor;
  const at::Tensor variance = (sums.narrow(0, channels, channels) / divisor - mean.square()).clamp_min(0);
  return {mean.to(type_of_sums(input)), variance.to(type_of_sums(input)), total};
}

// As torch: the running variance is of the unbiased kind.
void update_running(const BatchNormInput& parts, const BatchStatistics& batch) {
  if (!parts.running_mean.defined()) return;
  const at::Tensor part = batch.count.gt(0).to(at::kDouble) * parts.momentum;  // no samples, no update
  const at::Tensor unbiased = batch.variance.to(at::kDouble) * (batch.count / (batch.count - 1).clamp_min(1));
  for (const auto& [running, value] :
       {std::pair(parts.running_mean, batch.mean.to(at::kDouble)), std::pair(parts.running_var, unbiased)})
    running.copy_(running.to(at::kDouble) * (1 - part) + value * part);
}

// (input - mean) / sqrt(variance + eps) * weight + bias, in one pass.
at::Tensor normalize(const at::Tensor& input, const at::Tensor& mean, const at::Tensor& variance,
                     const at::Tensor& weight, const at::Tensor& bias, double eps) {
  if (input.numel() == 0) return at::empty_like(input);
  return std::get<0>(at::native_batch_norm(input, weight, bias, mean, variance, /*training=*/false, 0, eps));
}

std::optional<at::Tensor> optional(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

struct SyncBatchNormFunction : torch::autograd::Function<SyncBatchNormFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, const std::optional<at::Tensor>& weight,
                            const std::optional<at::Tensor>& bias, const BatchNormInput* parts,
                            Communicator* communicator) {
    const BatchStatistics batch = statistics_of_all(input, *communicator);
    update_running(*parts, batch);
    ctx->save_for_backward({input, weight.value_or(at::Tensor()), batch.mean, batch.variance, batch.count});
    ctx->saved_data["eps"] = parts->eps;
    ctx->saved_data["communicator"] = reinterpret_cast<std::int64_t>(communicator);
    return normalize(input, batch.mean, batch.variance, weight.value_or(at::Tensor()), bias.value_or(at::Tensor()),
                     parts->eps);
  }

  // With x' = (x - mean) / deviation, g the gradient of the output and means over all N values of all ranks:
  // the input's is weight / deviation · (g - mean(g) - x'·mean(g·x')); weight's is sum(g·x'), bias' sum(g).
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &variance = saved[3], &count = saved[4];
    const double eps = ctx->saved_data["eps"].toDouble();
    auto& communicator = *reinterpret_cast<Communicator*>(ctx->saved_data["communicator"].toInt());
    const at::Tensor& gradient = gradients[0];
    const std::int64_t channels = mean.numel();

    at::Tensor sums = at::zeros({2, channels}, mean.options());  // of g, of g·x'
    if (input.numel() > 0) {
      const auto local = at::native_batch_norm_backward(gradient, input, weight, mean, variance, {}, {},
                                                        /*train=*/false, eps, {false, true, true});
      sums[0].copy_(std::get<2>(local));
      sums[1].copy_(std::get<1>(local));
    }
    const at::Tensor of_weight = weight.defined() ? sums[1].clone() : at::Tensor();
    const at::Tensor of_bias = weight.defined() ? sums[0].clone() : at::Tensor();
    const auto type = mean.scalar_type() == at::kDouble ? DataType::float64 : DataType::float32;
    communicator.all_reduce({sums.data_ptr(), sums.numel(), type}, ReduceOp::sum).wait();

    at::Tensor of_input = at::empty_like(input);
    if (input.numel() > 0) {
      const at::Tensor means = sums / count.to(mean.scalar_type());
      at::Tensor scale = (variance + eps).rsqrt();
      if (weight.defined()) scale = scale * weight;
      of_input = normalize(input, mean, variance, -scale * means[1], -scale * means[0], eps);
      std::vector<std::int64_t> per_channel(input.dim(), 1);
      per_channel[1] = channels;
      of_input.addcmul_(gradient, scale.view(per_channel));
    }
    return {of_input, of_weight, of_bias, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor sync_batch_norm(const at::Tensor& input, const BatchNormInput& parts, Communicator& communicator) {
  return SyncBatchNormFunction::apply(input, optional(parts.weight), optional(parts.bias), &parts, &communicator);
}

void SyncBatchNorm1dImpl::_check_input_dim(const at::Tensor& input) {
  TORCH_CHECK(input.dim() == 2 || input.dim() == 3, "expected 2D or 3D input (got ", input.dim(), "D input)");
}

void SyncBatchNorm2dImpl::_check_input_dim(const at::Tensor& input) {
  TORCH_CHECK(input.dim() == 4, "expected 4D input (got ", input.dim(), "D input)");
}

void SyncBatchNorm3dImpl::_check_input_dim(const at::Tensor& input) {
  TORCH_CHECK(input.dim() == 5, "expected 5D input (got ", input.dim(), "D input)");
}

}  // namespace lockstep
