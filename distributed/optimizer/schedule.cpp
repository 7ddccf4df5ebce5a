#include "lockstep/distributed/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep {

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {"constant", "step", "cosine"};
  return names;
}

double learning_rate_at(const Schedule& schedule, std::int64_t step) {
  if (step < schedule.warmup_steps)
    return schedule.learning_rate * static_cast<double>(step + 1) / static_cast<double>(schedule.warmup_steps);
  const std::int64_t after_warmup = step - schedule.warmup_steps;
  if (schedule.shape == "step") {
    const auto drops = after_warmup / std::max<std::int64_t>(1, schedule.drop_every);
    return schedule.learning_rate * std::pow(schedule.drop_factor, static_cast<double>(drops));
  }
  if (schedule.shape == "cosine") {
    const auto length = std::max<std::int64_t>(1, schedule.total_steps - schedule.warmup_steps);
    const double part = std::min(1.0, static_cast<double>(after_warmup) / static_cast<double>(length));
    return schedule.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * part));
  }
  return schedule.learning_rate;
}

}  // namespace lockstep
