#include "lockstep/distributed/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep {

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {"constant", "step", "cosine"};
  return names;
}

double learning_rate_at(const Schedule& schedule, double position) {
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  if (position < warmup) return schedule.learning_rate * std::min(position + 1, warmup) / warmup;
  const double after_warmup = position - warmup;
  if (schedule.shape == "step") {
    const auto every = static_cast<double>(std::max<std::int64_t>(1, schedule.drop_every));
    return schedule.learning_rate * std::pow(schedule.drop_factor, std::floor(after_warmup / every));
  }
  if (schedule.shape == "cosine") {
    const auto length = std::max<std::int64_t>(1, schedule.total_steps - schedule.warmup_steps);
    const double part = std::min(1.0, after_warmup / static_cast<double>(length));
    return schedule.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * part));
  }
  return schedule.learning_rate;
}

}  // namespace lockstep
