// Learning-rate schedules: pure functions of the position.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

// "Left" below: steps after the warm-up, total_steps - warmup_steps of them. Each is torch.optim.lr_scheduler's class
// of the name given, with total_iters = T_max = total_steps where that class has such a length.
struct Schedule {
  // constant
  // step        StepLR: multiplied by drop_factor every drop_every steps
  // multistep   MultiStepLR: multiplied by drop_factor at each milestone
  // cosine      CosineAnnealingLR: half a cosine down to 0
  // linear      LinearLR from 1 to end_factor
  // polynomial  PolynomialLR: falls to 0 as (1 - part done)^power
  // one-cycle   OneCycleLR (cosine, two phases): rises from learning_rate / start_divisor over rise_part of the steps
  //             to learning_rate, then falls to a final_divisor-th of where it started
  std::string shape = "constant";
  double learning_rate = 0.001;   // the highest: at the start, or after the warm-up
  std::int64_t warmup_steps = 0;  // rises linearly over the first steps: learning_rate * (step + 1) / warmup_steps
  std::int64_t drop_every = 1;    // counted after the warm-up
  double drop_factor = 0.1;
  std::vector<std::int64_t> milestones = {};  // steps of the whole training, warm-up included; rising
  std::int64_t total_steps = 1;               // of the whole training; beyond it the last value holds
  double end_factor = 0;
  double power = 1;
  double rise_part = 0.3, start_divisor = 25, final_divisor = 1e4;
};

const std::vector<std::string>& schedule_names();

// The learning rate of the optimizer step at `position` >= 0: the steps done before it, which are no whole number where
// steps of another size count as parts or multiples (training/training_length.h).
double learning_rate_at(const Schedule& schedule, double position);

// What the learning rate is multiplied by where every rank adds a batch of its own: rule "none": 1, "linear":
// world_size (Goyal et al. 2017), "sqrt": its square root (Krizhevsky 2014; You et al. 2020 for LAMB).
const std::vector<std::string>& learning_rate_scalings();
double learning_rate_scale(const std::string& rule, int world_size);

}  // namespace lockstep
