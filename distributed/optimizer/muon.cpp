#include "lockstep/distributed/optimizer/muon.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/adam_update.h"
#include "lockstep/distributed/optimizer/cell_sums.h"
#include "lockstep/distributed/optimizer/muon_kernel.h"

namespace lockstep {
namespace {

enum Kind { rest, matrix };

// Its rows are one behind the other in memory: true of contiguous and of channels_last tensors, and only the order of
// the columns differs between the two, which does not matter.
bool is_matrix(const at::Tensor& t) { return t.dim() >= 2 && t.numel() > 0 && t.stride(0) * t.size(0) == t.numel(); }

at::ScalarType matrix_type(const MuonOptions& options, const at::TensorOptions& parameters) {
  if (options.matrix_type) return *options.matrix_type;
  if (parameters.dtype() == at::kDouble) return at::kDouble;
  return parameters.device().is_cpu() ? at::kFloat : at::kBFloat16;
}

double scale(MuonScale kind, std::int64_t row_count, std::int64_t column_count) {
  const auto rows = static_cast<double>(row_count), columns = static_cast<double>(column_count);
  return kind == MuonScale::original ? std::sqrt(std::max(1.0, rows / columns))
                                     : 0.2 * std::sqrt(std::max(rows, columns));
}

}  // namespace

Muon::Muon(DataParallel& model, MuonOptions options)
    : Optimizer(model, "Muon", options.learning_rate, options.weight_decay, options.groups),
      options_(std::move(options)),
      orthogonalize_(matrix_type(options_, computing_options())) {
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
  whole_.resize(model().tensors().size());
  for (const auto& bucket : model().plan().buckets)
    for (const auto& slot : bucket.slots) whole_[static_cast<std::size_t>(slot.parameter)] = slot;
  for (std::size_t i = 0; i < whole_.size(); ++i) {
    if (!is_matrix(model().tensors()[i])) continue;
    bool excepted = false;
    for (std::size_t k = 0; k < matched.size(); ++k) {
      if (!matches(model().parameters()[i].name, options_.adamw_parameters[k])) continue;
      matched[k] = excepted = true;
    }
    if (excepted) continue;
    set_kind(i, matrix);
    largest = std::max(largest, whole_[i].count);
  }
  const auto missing = std::find(matched.begin(), matched.end(), false) - matched.begin();
  if (missing < static_cast<std::ptrdiff_t>(matched.size()))
    fail(ErrorKind::usage, "no matrix among the parameters matches \"" +
                               options_.adamw_parameters[static_cast<std::size_t>(missing)] + "\"");
  directions_ = at::empty({largest}, computing_options());
  if (!is_sharded()) return;
  // The gradients of a sharded model are used up with its step, so their memory is free for this.
  const bool fits = computing_options().dtype() == model().flat_gradients().dtype();
  all_directions_ =
      fits ? model().flat_gradients().detach() : at::empty({model().plan().total_count}, computing_options());
}

template <typename Function>
void Muon::for_each_matrix(const Function& f) {
  if (is_sharded()) {
    for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
      if (kind_of(s) == matrix) write_directions(s, all_directions_.narrow(0, s.offset, s.count));
    });
    model().gather_shards(all_directions_);
  }
  for_each_stretch(/*merge=*/false, [&](const Stretch& s) {
    if (kind_of(s) != matrix) return;
    const auto directions = directions_of(s);
    const auto& slot = whole_[static_cast<std::size_t>(s.parameter)];
    if (is_sharded()) {
      directions.view({slot.count}).copy_(all_directions_.narrow(0, slot.offset, slot.count));
    } else {
      write_directions(s, directions.view({slot.count}));
    }
    orthogonalize_(directions);
    f(s, directions.view({slot.count}).narrow(0, s.offset - slot.offset, s.count));
  });
}

void Muon::update() {
  for_each_matrix([&](const Stretch& s, const at::Tensor& directions) {
    const auto [kept, step_size] = factors(s);
    with_type([&](auto zero) {
      using T = decltype(zero);
      muon_apply_kernel(parameters_at<T>(s), directions.const_data_ptr<T>(), s.count, kept, step_size);
    });
  });
  for_each_stretch(merges(), [&](const Stretch& s) {
    if (kind_of(s) == rest) update_adam_stretch(s, *first_, *second_, update_of_rest(s));
  });
}

void Muon::list_numbers(const Moment& moment, std::vector<double>& to) const {
  for_each_stretch(/*merge=*/false, moment, [&](const Stretch& s) {
    if (kind_of(s) != matrix) return;
    const auto [kept, step_size] = factors(s);
    to.insert(to.end(), {kept, step_size});
  });
  for_each_stretch(merges(), moment, [&](const Stretch& s) {
    if (kind_of(s) == rest) list_adam_numbers(update_of_rest(s), to);
  });
}

void Muon::update_by_operators(StepNumbers& numbers) {
  for_each_matrix([&](const Stretch& s, const at::Tensor& directions) {
    const auto kept = numbers.next(), step_size = numbers.next(), parameters = parameters_of(s);
    if (s.weight_decay != 0) parameters.mul_(kept);
    parameters.addcmul_(directions, step_size);
  });
  for_each_stretch(merges(), [&](const Stretch& s) {
    if (kind_of(s) == rest) update_adam_stretch(s, *first_, *second_, update_of_rest(s), numbers);
  });
}

// The whole matrix of which `s` is a part.
at::Tensor Muon::directions_of(const Stretch& s) const {
  const auto rows = model().tensors()[static_cast<std::size_t>(s.parameter)].size(0);
  const auto count = whole_[static_cast<std::size_t>(s.parameter)].count;
  return directions_.narrow(0, 0, count).view({rows, count / rows});
}

// to: [s.count]; may be the gradients' own place.
void Muon::write_directions(const Stretch& s, const at::Tensor& to) {
  if (!on_cpu()) {
    const auto gradients = gradients_of(s), momentum = state_of(*momentum_, s);
    momentum.lerp_(gradients, 1 - options_.momentum);
    to.copy_(options_.nesterov ? gradients.lerp(momentum, options_.momentum) : momentum);
    return;
  }
  with_type([&](auto zero) {
    using T = decltype(zero);
    T part[kCell];
    for_each_cell(s.offset, s.count, [&](std::int64_t begin, std::int64_t count) {
      const auto at = begin - s.offset;
      muon_momentum_kernel(gradients_at<T>(s) + at, state_at<T>(*momentum_, s) + at, part, count, s.gradient_scale,
                           options_.momentum, options_.nesterov);
      std::memcpy(to.mutable_data_ptr<T>() + at, part, static_cast<std::size_t>(count) * sizeof(T));
    });
  });
}

std::pair<double, double> Muon::factors(const Stretch& s) const {
  const auto rows = model().tensors()[static_cast<std::size_t>(s.parameter)].size(0);
  const auto columns = whole_[static_cast<std::size_t>(s.parameter)].count / rows;
  return {1 - s.learning_rate * s.weight_decay, -s.learning_rate * scale(options_.scale, rows, columns)};
}

AdamUpdate Muon::update_of_rest(const Stretch& s) const {
  return {.learning_rate = s.learning_rate * options_.adamw_factor,
          .beta1 = options_.beta1,
          .beta2 = options_.beta2,
          .eps = options_.eps,
          .weight_decay = s.weight_decay,
          .decoupled = true,
          .gradient_scale = s.gradient_scale,
          .step = s.step};
}

}  // namespace lockstep
