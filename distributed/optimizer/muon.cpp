#include "lockstep/distributed/optimizer/muon.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/adam_update.h"
#include "lockstep/distributed/optimizer/muon_kernel.h"

namespace lockstep {
namespace {

enum Kind { rest, matrix };

// Its rows are one behind the other in memory: true of contiguous and of channels_last tensors, and only the order of
// the columns differs between the two, which does not matter.
bool is_matrix(const at::Tensor& t) { return t.dim() >= 2 && t.numel() > 0 && t.stride(0) * t.size(0) == t.numel(); }

at::ScalarType matrix_type(const MuonOptions& options, const at::Tensor& parameters) {
  if (options.matrix_type) return *options.matrix_type;
  if (parameters.scalar_type() == at::kDouble) return at::kDouble;
  return parameters.is_cpu() ? at::kFloat : at::kBFloat16;
}

double scale(MuonScale kind, const at::Tensor& m) {
  const auto rows = static_cast<double>(m.size(0)), columns = static_cast<double>(m.size(1));
  return kind == MuonScale::original ? std::sqrt(std::max(1.0, rows / columns))
                                     : 0.2 * std::sqrt(std::max(rows, columns));
}

}  // namespace

Muon::Muon(DataParallel& model, MuonOptions options)
    : Optimizer(model, "Muon", options.learning_rate, options.weight_decay, options.groups),
      options_(std::move(options)),
      orthogonalize_(matrix_type(options_, model.flat_parameters())) {
  below_one("momentum", options_.momentum);
  below_one("beta1", options_.beta1);
  below_one("beta2", options_.beta2);
  at_least_zero("eps", options_.eps);
  at_least_zero("factor of AdamW's learning rate", options_.adamw_factor);
  choose_matrices();
  momentum_ = &add_state("momentum", matrix);
  first_ = &add_state("exp_avg", rest);
  second_ = &add_state("exp_avg_sq", rest);
}

void Muon::choose_matrices() {
  std::vector<bool> matched(options_.adamw_parameters.size());
  std::int64_t largest = 0;
  for (std::size_t i = 0; i < slots().size(); ++i) {
    if (!is_matrix(tensor_of(slots()[i]))) continue;
    bool excepted = false;
    for (std::size_t k = 0; k < matched.size(); ++k) {
      if (!matches(name_of(slots()[i]), options_.adamw_parameters[k])) continue;
      matched[k] = excepted = true;
    }
    if (excepted) continue;
    set_kind(i, matrix);
    largest = std::max(largest, slots()[i].count);
  }
  const auto missing = std::find(matched.begin(), matched.end(), false) - matched.begin();
  if (missing < static_cast<std::ptrdiff_t>(matched.size()))
    fail(ErrorKind::usage, "no matrix among the parameters matches \"" +
                               options_.adamw_parameters[static_cast<std::size_t>(missing)] + "\"");
  directions_ = at::empty({largest}, model().flat_parameters().options().requires_grad(false));
  directions_of_.resize(slots().size());
  for (std::size_t i = 0; i < slots().size(); ++i) {
    if (slots()[i].kind != matrix) continue;
    const auto rows = tensor_of(slots()[i]).size(0);
    directions_of_[i] = directions_.narrow(0, 0, slots()[i].count).view({rows, slots()[i].count / rows});
  }
}

void Muon::update() {
  for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
    if (slots()[s.slot].kind == matrix) update_matrix(s);
  });
  // Without eps the padding would become 0 / 0.
  for_each_stretch(/*merge=*/options_.eps > 0, [&](const Stretch& s) {
    if (slots()[s.slot].kind == rest) update_rest(s);
  });
}

void Muon::update_matrix(const Stretch& s) {
  const auto& directions = directions_of_[s.slot];
  const double kept = 1 - s.learning_rate * s.weight_decay,
               step_size = -s.learning_rate * scale(options_.scale, directions);
  if (on_cpu()) {
    with_type([&](auto zero) {
      using T = decltype(zero);
      muon_momentum_kernel(gradients_at<T>(s), state_at<T>(*momentum_, s), directions.mutable_data_ptr<T>(), s.count,
                           s.gradient_scale, options_.momentum, options_.nesterov);
    });
    orthogonalize_(directions);
    with_type([&](auto zero) {
      using T = decltype(zero);
      muon_apply_kernel(parameters_at<T>(s), directions.const_data_ptr<T>(), s.count, kept, step_size);
    });
    return;
  }
  const auto gradients = gradients_of(s), momentum = state_of(*momentum_, s), parameters = parameters_of(s);
  momentum.lerp_(gradients, 1 - options_.momentum);
  directions.view({s.count}).copy_(options_.nesterov ? gradients.lerp(momentum, options_.momentum) : momentum);
  orthogonalize_(directions);
  parameters.mul_(kept).add_(directions.view({s.count}), step_size);
}

void Muon::update_rest(const Stretch& s) {
  const AdamUpdate update = {.learning_rate = s.learning_rate * options_.adamw_factor,
                             .beta1 = options_.beta1,
                             .beta2 = options_.beta2,
                             .eps = options_.eps,
                             .weight_decay = s.weight_decay,
                             .decoupled = true,
                             .gradient_scale = s.gradient_scale,
                             .step = s.step};
  update_adam_stretch(s, *first_, *second_, update);
}

}  // namespace lockstep
