#include "lockstep/distributed/optimizer/gradient_norm.h"

#include <ATen/ops/scalar_tensor.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "lockstep/distributed/optimizer/cell_sums.h"

namespace lockstep {
namespace {

constexpr double kEps = 1e-6;  // torch's

template <typename T>
double norm_on_cpu(DataParallel& model) {
  const T* values = model.flat_gradients().const_data_ptr<T>();
  const auto& used = model.has_gradient();
  double sum = 0;
  for (const auto& bucket : model.plan().buckets) {
    for (const auto& slot : bucket.slots) {
      if (!used[static_cast<std::size_t>(slot.parameter)]) continue;
      for_each_cell(slot.offset, slot.count,
                    [&](std::int64_t begin, std::int64_t count) { sum += square_sum_kernel(values + begin, count); });
    }
  }
  return std::sqrt(sum);
}

// Without the flags behind the values.
at::Tensor values_of(DataParallel& model) {
  return model.flat_gradients().detach().narrow(0, 0, model.plan().value_count);
}

}  // namespace

at::Tensor gradient_norm(DataParallel& model) {
  const c10::AutoGradMode no_graph(false);
  const auto& used = model.prepare_update();
  const auto gradients = values_of(model);
  if (gradients.is_cpu() && gradients.scalar_type() == at::kFloat)
    return at::scalar_tensor(norm_on_cpu<float>(model), at::kDouble);
  if (gradients.is_cpu() && gradients.scalar_type() == at::kDouble)
    return at::scalar_tensor(norm_on_cpu<double>(model), at::kDouble);
  for (const auto& bucket : model.plan().buckets)
    for (const auto& slot : bucket.slots)
      if (!used[static_cast<std::size_t>(slot.parameter)]) gradients.narrow(0, slot.offset, slot.count).zero_();
  return gradients.norm(2, at::kFloat);
}

Clipped clip_gradients(DataParallel& model, double max_norm) {
  const c10::AutoGradMode no_graph(false);
  Clipped clipped{.norm = gradient_norm(model)};
  if (clipped.norm.is_cpu()) {
    const double found = max_norm / (clipped.norm.item<double>() + kEps);
    clipped.scale = std::isnan(found) ? found : std::min(1.0, found);
  } else {
    values_of(model).mul_(clipped.norm.add(kEps).reciprocal_().mul_(max_norm).clamp_max_(1));
  }
  return clipped;
}

}  // namespace lockstep
