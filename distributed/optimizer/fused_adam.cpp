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

void FusedAdam::update() {
  // Without eps the padding would become 0 / 0.
  for_each_stretch(/*merge=*/options_.eps > 0, [&](const Stretch& s) {
    const AdamUpdate update = {.learning_rate = s.learning_rate,
                               .beta1 = options_.beta1,
                               .beta2 = options_.beta2,
                               .eps = options_.eps,
                               .weight_decay = s.weight_decay,
                               .decoupled = options_.decoupled,
                               .gradient_scale = s.gradient_scale,
                               .step = s.step};
    update_adam_stretch(s, first_, second_, update);
  });
}

}  // namespace lockstep
