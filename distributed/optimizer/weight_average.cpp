#include "lockstep/distributed/optimizer/weight_average.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/flat_buffers.h"

namespace lockstep {

WeightAverage::WeightAverage(DataParallel& model, WeightAverageOptions options)
    : model_(model),
      options_(options),
      average_(at::empty_like(model.flat_parameters()).zero_()),
      updates_(at::zeros({}, at::kLong)) {
  if (options_.decay >= 0 && options_.decay < 1) return;
  fail(ErrorKind::usage, "the decay of the averaged weights is " + std::to_string(options_.decay) +
                             ", it must be at least 0 and below 1");
}

void WeightAverage::update() {
  const c10::AutoGradMode no_graph(false);
  auto& updates = *updates_.mutable_data_ptr<std::int64_t>();
  if (updates == 0) {
    average_.copy_(model_.flat_parameters());
  } else {
    const auto t = static_cast<double>(updates);
    const double decay = options_.warms_up ? std::min(options_.decay, (1 + t) / (10 + t)) : options_.decay;
    average_.lerp_(model_.flat_parameters(), 1 - decay);
  }
  ++updates;
}

void WeightAverage::exchange() {
  if (*updates_.const_data_ptr<std::int64_t>() == 0) return;
  const c10::AutoGradMode no_graph(false);
  const auto kept = model_.flat_parameters().detach().clone();
  model_.flat_parameters().copy_(average_);
  average_.copy_(kept);
}

WeightAverage::Swapped::Swapped(WeightAverage& parent) : parent_(parent) { parent_.exchange(); }
WeightAverage::Swapped::~Swapped() { parent_.exchange(); }

std::vector<std::pair<std::string, at::Tensor>> WeightAverage::state() {
  std::vector<std::pair<std::string, at::Tensor>> named(model_.parameters().size() + 1);
  named[0] = {"ema.updates", updates_};
  for (const auto& bucket : model_.plan().buckets)
    for (const auto& slot : bucket.slots)
      named[static_cast<std::size_t>(slot.parameter) + 1] = {
          "ema." + model_.parameters()[static_cast<std::size_t>(slot.parameter)].name,
          slot_view(average_, slot, model_.tensors()[static_cast<std::size_t>(slot.parameter)])};
  return named;
}

}  // namespace lockstep
