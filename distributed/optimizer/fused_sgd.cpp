#include "lockstep/distributed/optimizer/fused_sgd.h"

#include <algorithm>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/flat_buffers.h"
#include "lockstep/distributed/optimizer/sgd_update.h"

namespace lockstep {
namespace {

void check(const SgdOptions& options) {
  const auto at_least_zero = [](const char* name, double value) {
    if (value >= 0) return;
    fail(ErrorKind::usage,
         std::string("the ") + name + " of SGD is " + std::to_string(value) + ", it must be at least 0");
  };
  at_least_zero("learning rate", options.learning_rate);
  at_least_zero("momentum", options.momentum);
  at_least_zero("weight decay", options.weight_decay);
  if (options.nesterov && (options.momentum <= 0 || options.dampening != 0)) {
    fail(ErrorKind::usage, "Nesterov momentum needs a momentum above 0 and no dampening; they are " +
                               std::to_string(options.momentum) + " and " + std::to_string(options.dampening));
  }
}

bool all(const std::vector<bool>& values) { return std::find(values.begin(), values.end(), false) == values.end(); }
bool none(const std::vector<bool>& values) { return std::find(values.begin(), values.end(), true) == values.end(); }

}  // namespace

FusedSgd::FusedSgd(DataParallel& model, SgdOptions options)
    : model_(model), options_(options), started_(model.parameters().size()) {
  check(options_);
  if (options_.momentum != 0) momentum_ = model_.flat_parameters().detach().clone().zero_();
}

void FusedSgd::step() {
  const auto& used = model_.prepare_update();
  const auto update = [&](std::int64_t offset, std::int64_t count, bool first) {
    const auto part = [&](const at::Tensor& flat) { return flat.defined() ? flat.narrow(0, offset, count) : flat; };
    update_sgd(part(model_.flat_parameters()), part(model_.flat_gradients()), part(momentum_), options_, first);
  };
  if (all(used) && (all(started_) || none(started_))) {
    update(0, model_.plan().value_count, none(started_));  // padding is zero and stays zero
  } else {
    for (const auto& bucket : model_.plan().buckets) {
      for (const auto& slot : bucket.slots) {
        if (used[slot.parameter]) update(slot.offset, slot.count, !started_[slot.parameter]);
      }
    }
  }
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    started_[i] = true;
    // As after p.add_(): a backward over a graph that saved the old values is refused, not computed wrongly.
    model_.tensors()[i].unsafeGetTensorImpl()->bump_version();
  }
}

std::vector<std::pair<std::string, at::Tensor>> FusedSgd::state() {
  std::vector<std::pair<std::string, at::Tensor>> named(model_.parameters().size());
  if (!momentum_.defined()) return {};
  for (const auto& bucket : model_.plan().buckets) {
    for (const auto& slot : bucket.slots) {
      named[slot.parameter] = {"momentum." + model_.parameters()[slot.parameter].name,
                               slot_view(momentum_, slot, model_.tensors()[slot.parameter])};
    }
  }
  return named;
}

void FusedSgd::set_started(std::vector<bool> started) {
  if (started.size() != started_.size()) {
    fail(ErrorKind::usage, "the optimizer's state is for " + std::to_string(started.size()) +
                               " parameters, the model has " + std::to_string(started_.size()));
  }
  started_ = std::move(started);
}

}  // namespace lockstep
