#include "lockstep/distributed/optimizer/gradient_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>

#include "lockstep/distributed/optimizer/cell_sums.h"

namespace lockstep {
namespace {

constexpr double kEps = 1e-6;  // torch's

bool has_gradient(const DataParallel& model, int parameter) {
  return model.has_gradient()[static_cast<std::size_t>(parameter)];
}

// f(slot) for all parameters.
template <typename Function>
void for_each_slot(const DataParallel& model, const Function& f) {
  for (const auto& bucket : model.plan().buckets)
    for (const auto& slot : bucket.slots) f(slot);
}

template <typename T>
double norm_on_cpu(DataParallel& model) {
  const T* values = model.flat_gradients().const_data_ptr<T>();
  double sum = 0;
  for_each_slot(model, [&](const ParameterSlot& slot) {
    if (!has_gradient(model, slot.parameter)) return;
    double squares = 0;
    for_each_cell(slot.offset, slot.count,
                  [&](std::int64_t begin, std::int64_t count) { squares += square_sum_kernel(values + begin, count); });
    sum += squares;
  });
  return std::sqrt(sum);
}

// The same numbers in the same order, each from the rank in whose shard the cell lies.
template <typename T>
double norm_of_shards_on_cpu(DataParallel& model) {
  const T* values = model.flat_gradients().const_data_ptr<T>();
  CellSums squares(model.plan());
  for (const auto& piece : pieces_of(model.plan(), model.shard())) {
    if (!has_gradient(model, piece.parameter)) continue;
    for_each_cell(piece.offset, piece.count, [&](std::int64_t begin, std::int64_t count) {
      squares.at(piece.parameter, begin) = square_sum_kernel(values + begin, count);
    });
  }
  squares.gather(model.communicator()).wait();
  double sum = 0;
  for_each_slot(model, [&](const ParameterSlot& slot) {
    if (has_gradient(model, slot.parameter)) sum += squares.sum(slot.parameter);
  });
  return std::sqrt(sum);
}

template <typename T>
at::Tensor on_cpu(DataParallel& model) {
  return at::scalar_tensor(model.plan().shards > 1 ? norm_of_shards_on_cpu<T>(model) : norm_on_cpu<T>(model),
                           at::kDouble);
}

// In float32, which holds the squares of 16-bit gradients.
at::Tensor norm_by_operators(DataParallel& model) {
  const auto gradients = model.flat_gradients().detach();
  at::Tensor sum = at::zeros({}, gradients.options().dtype(at::kFloat));
  for (const auto& piece : pieces_of(model.plan(), model.shard()))
    if (has_gradient(model, piece.parameter))
      sum += gradients.narrow(0, piece.offset, piece.count).norm(2, at::kFloat).square_();
  if (model.plan().shards > 1)
    model.communicator().all_reduce({sum.data_ptr(), 1, DataType::float32}, ReduceOp::sum).wait();
  return sum.sqrt_();
}

}  // namespace

at::Tensor gradient_norm(DataParallel& model) {
  const c10::AutoGradMode no_graph(false);
  model.prepare_update();
  const auto& gradients = model.flat_gradients();
  if (gradients.is_cpu() && gradients.scalar_type() == at::kFloat) return on_cpu<float>(model);
  if (gradients.is_cpu() && gradients.scalar_type() == at::kDouble) return on_cpu<double>(model);
  return norm_by_operators(model);
}

Clipped clip_gradients(DataParallel& model, double max_norm) {
  const c10::AutoGradMode no_graph(false);
  Clipped clipped{.norm = gradient_norm(model)};
  if (clipped.norm.is_cpu()) {
    const double found = max_norm / (clipped.norm.item<double>() + kEps);
    clipped.scale = std::isnan(found) ? found : std::min(1.0, found);
  } else {
    model.flat_gradients().detach().mul_(clipped.norm.add(kEps).reciprocal_().mul_(max_norm).clamp_max_(1));
  }
  return clipped;
}

}  // namespace lockstep
