// Learning-rate schedules: pure functions of the position.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace lockstep {

struct Schedule {
  std::string shape = "constant";  // constant, step, cosine
  double learning_rate = 0.001;    // the highest: at the start, or after the warm-up
  std::int64_t warmup_steps = 0;   // rises linearly over the first steps: learning_rate * (step + 1) / warmup_steps
  std::int64_t drop_every = 1;     // shape step: multiplied by drop_factor every so many steps after the warm-up
  double drop_factor = 0.1;
  std::int64_t total_steps = 1;  // shape cosine: falls to 0 at this step, half a cosine after the warm-up
};

const std::vector<std::string>& schedule_names();

// The learning rate of the optimizer step at `position` >= 0: the steps done before it, which are no whole number where
// steps of another size count as parts or multiples (training/training_length.h). Beyond total_steps a cosine stays at
// 0.
double learning_rate_at(const Schedule& schedule, double position);

}  // namespace lockstep
