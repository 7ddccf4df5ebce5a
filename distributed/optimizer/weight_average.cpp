#include "lockstep/distributed/optimizer/weight_average.h"

#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/step_numbers.h"

namespace lockstep {
namespace {

at::ScalarType averaging_type(DataParallel& model) {
  const auto& parameters = model.flat_parameters();
  return parameters.element_size() == 2 ? at::kFloat : parameters.scalar_type();
}

}  // namespace

WeightAverage::WeightAverage(DataParallel& model, WeightAverageOptions options)
    : model_(model),
      options_(options),
      pieces_(pieces_of(model.plan(), model.shard())),
      average_(model, pieces_, "ema", std::vector<bool>(model.parameters().size(), true), averaging_type(model)),
      updates_(at::zeros({}, at::kLong)) {
  if (options_.decay >= 0 && options_.decay < 1) return;
  fail(ErrorKind::usage, "the decay of the averaged weights is " + std::to_string(options_.decay) +
                             ", it must be at least 0 and below 1");
}

template <typename Function>
void WeightAverage::for_each_part(const Function& f) {
  const auto& weights = model_.flat_parameters();
  const auto& average = average_.values();
  for (std::size_t first = 0; first < pieces_.size();) {  // neighbours at once
    std::size_t last = first;
    while (last + 1 < pieces_.size() && pieces_[last].offset + pieces_[last].room == pieces_[last + 1].offset) ++last;
    const auto begin = pieces_[first].offset, count = pieces_[last].offset + pieces_[last].count - begin;
    f(weights.narrow(0, begin, count), average.narrow(0, average_.begin(first), count));
    first = last + 1;
  }
}

// What the weights count for; at first they are all there is.
double WeightAverage::step_number(std::int64_t ahead) const {
  const auto t = static_cast<double>(*updates_.const_data_ptr<std::int64_t>() + ahead);
  if (t == 0) return 1;
  return 1 - (options_.warms_up ? std::min(options_.decay, (1 + t) / (10 + t)) : options_.decay);
}

void WeightAverage::update() {
  const c10::AutoGradMode no_graph(false);
  const double share = step_number();
  const auto device = model_.flat_parameters().device();
  if (!device.is_cpu()) {
    update_with(numbers_on_device({share}, number_type(), device)[0]);
    return count_updates();
  }
  for_each_part([&](const at::Tensor& weights, const at::Tensor& average) {
    if (share == 1) {
      average.copy_(weights);
    } else {
      average.lerp_(weights.to(average.scalar_type()), share);
    }
  });
  count_updates();
}

// lerp with a share of 1 gives exactly the weights: it starts from the nearer end.
void WeightAverage::update_with(const at::Tensor& number) {
  const c10::AutoGradMode no_graph(false);
  for_each_part([&](const at::Tensor& weights, const at::Tensor& average) {
    average.lerp_(weights.to(average.scalar_type()), number);
  });
}

void WeightAverage::count_updates(std::int64_t updates) { *updates_.mutable_data_ptr<std::int64_t>() += updates; }

// The weights are kept whole, so that putting them back needs no other rank.
WeightAverage::Swapped::Swapped(WeightAverage& parent) : parent_(parent) {
  if (*parent_.updates_.const_data_ptr<std::int64_t>() == 0) return;
  const c10::AutoGradMode no_graph(false);
  weights_ = parent_.model_.flat_parameters().detach().clone();
  parent_.for_each_part([](const at::Tensor& weights, const at::Tensor& average) { weights.copy_(average); });
  parent_.model_.gather_shards(parent_.model_.flat_parameters());
}

WeightAverage::Swapped::~Swapped() {
  const c10::AutoGradMode no_graph(false);
  if (weights_.defined()) parent_.model_.flat_parameters().copy_(weights_);
}

NamedTensors WeightAverage::state() {
  NamedTensors named = {{"ema.updates", updates_}};
  average_.append_state(named);
  return named;
}

NamedTensors WeightAverage::state_form() {
  NamedTensors named = {{"ema.updates", updates_}};
  average_.append_form(named);
  return named;
}

void WeightAverage::load_state(const NamedTensors& values) {
  for (const auto& [name, value] : values)
    if (name == "ema.updates") updates_.copy_(value);
  average_.load(values);
}

}  // namespace lockstep
