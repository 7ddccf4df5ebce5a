#include "lockstep/distributed/training/step_clock.h"

#include <algorithm>
#include <cmath>

namespace lockstep {
namespace {

constexpr double kShortest = 1e-6;
constexpr double kMemorySeconds = 10;
const double kLogRatio = std::log(1.01);

}  // namespace

void DurationHistogram::add(double seconds) {
  const double position = std::log(std::max(seconds, kShortest) / kShortest) / kLogRatio;
  ++bins_[std::min(kBins - 1, static_cast<std::size_t>(position))];
  ++count_;
}

double DurationHistogram::quantile(double part) const {
  if (count_ == 0) return 0;
  const auto wanted = static_cast<std::int64_t>(std::ceil(part * static_cast<double>(count_)));
  std::int64_t seen = 0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    seen += bins_[bin];
    if (seen >= std::max<std::int64_t>(1, wanted))
      return kShortest * std::exp((static_cast<double>(bin) + 0.5) * kLogRatio);
  }
  return 0;
}

void StepTotals::add(const StepTotals& other) {
  steps += other.steps;
  samples += other.samples;
  seconds += other.seconds;
  exposed_seconds += other.exposed_seconds;
  exposed_steps += other.exposed_steps;
}

std::optional<double> StepTotals::all_exposed_seconds() const {
  if (steps == 0) return 0;
  if (exposed_steps == 0 || 2 * exposed_steps < steps) return {};
  return exposed_seconds / static_cast<double>(exposed_steps) * static_cast<double>(steps);
}

std::optional<double> StepTotals::exposed_fraction() const {
  const auto exposed = all_exposed_seconds();
  if (!exposed) return {};
  return seconds > 0 ? *exposed / seconds : 0;
}

void StepClock::add(double seconds, std::int64_t samples, std::optional<double> exposed_seconds, std::int64_t steps) {
  for (std::int64_t i = 0; i < steps; ++i) histogram_.add(seconds / static_cast<double>(steps));
  const StepTotals added{.steps = steps,
                         .samples = samples,
                         .seconds = seconds,
                         .exposed_seconds = exposed_seconds.value_or(0),
                         .exposed_steps = exposed_seconds ? 1 : 0};
  total_.add(added);
  window_.add(added);
  const double kept = std::exp(-seconds / kMemorySeconds);
  recent_steps_ = recent_steps_ * kept + static_cast<double>(steps);
  recent_seconds_ = recent_seconds_ * kept + seconds;
}

void StepClock::add_wait(double seconds) {
  total_.seconds += seconds;
  window_.seconds += seconds;
  recent_seconds_ += seconds;
}

StepTotals StepClock::take_window() {
  const StepTotals taken = window_;
  window_ = {};
  return taken;
}

}  // namespace lockstep
