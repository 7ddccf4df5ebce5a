#include "lockstep/distributed/optimizer/fused_adam.h"

#include "lockstep/distributed/optimizer/adam_update.h"

namespace lockstep {

FusedAdam::FusedAdam(DataParallel& model, AdamOptions options)
    : Optimizer(model, options.decoupled ? "AdamW" : "Adam", options.learning_rate, options.weight_decay,
                options.groups),
      options_(std::move(options)),
      first_(add_state("exp_avg")),
      second_(add_state("exp_avg_sq")) {
  below_one("beta1", options_.beta1);
  below_one("beta2", options_.beta2);
  at_least_zero("eps", options_.eps);
}

AdamUpdate FusedAdam::update_of(const Stretch& s) const {
  return {.learning_rate = s.learning_rate,
          .beta1 = options_.beta1,
          .beta2 = options_.beta2,
          .eps = options_.eps,
          .weight_decay = s.weight_decay,
          .decoupled = options_.decoupled,
          .gradient_scale = s.gradient_scale,
          .step = s.step};
}

void FusedAdam::update() {
  for_each_stretch(merges(), [&](const Stretch& s) { update_adam_stretch(s, first_, second_, update_of(s)); });
}

void FusedAdam::list_numbers(const Moment& moment, std::vector<double>& to) const {
  for_each_stretch(merges(), moment, [&](const Stretch& s) { list_adam_numbers(update_of(s), to); });
}

void FusedAdam::update_by_operators(StepNumbers& numbers) {
  for_each_stretch(merges(), [&](const Stretch& s) { update_adam_stretch(s, first_, second_, update_of(s), numbers); });
}

}  // namespace lockstep
