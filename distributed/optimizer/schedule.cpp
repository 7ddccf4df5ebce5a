#include "lockstep/distributed/optimizer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lockstep {
namespace {

// From `first` (part 0) to `last` (part 1) along half a cosine.
double cosine_between(double first, double last, double part) {
  return last + (first - last) * 0.5 * (1 + std::cos(std::numbers::pi * part));
}

// As OneCycleLR counts: the peak at rise_part * steps - 1, the end at the last step.
double one_cycle(const Schedule& s, double step, double steps) {
  const double start = s.learning_rate / s.start_divisor, end = start / s.final_divisor;
  const double peak = s.rise_part * steps - 1, last = std::max(steps - 1, peak);
  if (step >= last && last > peak) return end;
  if (step <= peak) return peak > 0 ? cosine_between(start, s.learning_rate, step / peak) : s.learning_rate;
  return cosine_between(s.learning_rate, end, (step - peak) / (last - peak));
}

double drops(const Schedule& s, double position, double after_warmup) {
  if (s.shape == "step") return std::floor(after_warmup / static_cast<double>(std::max<std::int64_t>(1, s.drop_every)));
  return static_cast<double>(std::count_if(s.milestones.begin(), s.milestones.end(), [&](std::int64_t milestone) {
    return position >= static_cast<double>(milestone);
  }));
}

}  // namespace

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {"constant", "step",       "multistep", "cosine",
                                                 "linear",   "polynomial", "one-cycle"};
  return names;
}

double learning_rate_at(const Schedule& schedule, double position) {
  const auto warmup = static_cast<double>(schedule.warmup_steps);
  if (position < warmup) return schedule.learning_rate * std::min(position + 1, warmup) / warmup;
  const double after_warmup = position - warmup;
  if (schedule.shape == "step" || schedule.shape == "multistep")
    return schedule.learning_rate * std::pow(schedule.drop_factor, drops(schedule, position, after_warmup));
  const auto left = static_cast<double>(std::max<std::int64_t>(1, schedule.total_steps - schedule.warmup_steps));
  const double part = std::min(1.0, after_warmup / left);
  if (schedule.shape == "cosine") return cosine_between(schedule.learning_rate, 0, part);
  if (schedule.shape == "linear") return schedule.learning_rate * (1 + (schedule.end_factor - 1) * part);
  if (schedule.shape == "polynomial") return schedule.learning_rate * std::pow(1 - part, schedule.power);
  if (schedule.shape == "one-cycle") return one_cycle(schedule, after_warmup, left);
  return schedule.learning_rate;
}

const std::vector<std::string>& learning_rate_scalings() {
  static const std::vector<std::string> names = {"none", "linear", "sqrt"};
  return names;
}

double learning_rate_scale(const std::string& rule, int world_size) {
  if (rule == "linear") return world_size;
  if (rule == "sqrt") return std::sqrt(static_cast<double>(world_size));
  return 1;
}

}  // namespace lockstep
