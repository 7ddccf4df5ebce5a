// How long steps take, and how much of it is waiting for other ranks; constant memory, whatever the number of steps.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace lockstep {

// Quantiles of durations from logarithmic bins: each within 1 % of the true value, from 1 microsecond to 1,000 seconds.
class DurationHistogram {
 public:
  void add(double seconds);
  // part: 0.5 for the median. 0 when nothing was added.
  double quantile(double part) const;
  std::int64_t count() const { return count_; }

 private:
  static constexpr std::size_t kBins = 2100;
  std::array<std::int64_t, kBins> bins_{};
  std::int64_t count_ = 0;
};

// Sums over some steps: of the whole training, or since the last line.
struct StepTotals {
  std::int64_t steps = 0;
  std::int64_t samples = 0;        // of all ranks
  double seconds = 0;              // inside steps: data, forward, backward, update; not evaluation, checkpoints
  double exposed_seconds = 0;      // waiting for collectives, of the steps …
  std::int64_t exposed_steps = 0;  // … for which that is known

  void add(const StepTotals& other);
  // What part of the time was waiting for collectives; nothing where it is known of fewer than half of the steps.
  std::optional<double> exposed_fraction() const;
  // The same in seconds, of all steps.
  std::optional<double> all_exposed_seconds() const;
};

class StepClock {
 public:
  // steps: that were given to the device at once. exposed_seconds: of one step, where it is known.
  void add(double seconds, std::int64_t samples, std::optional<double> exposed_seconds, std::int64_t steps = 1);
  // Time that belongs to steps which are counted already: the host has waited for the device to do them.
  void add_wait(double seconds);
  const DurationHistogram& histogram() const { return histogram_; }
  const StepTotals& total() const { return total_; }
  // What came since the last call.
  StepTotals take_window();
  // Seconds per step lately (a mean whose memory fades over ten seconds), for estimates of the time left.
  double recent_step_seconds() const { return recent_steps_ > 0 ? recent_seconds_ / recent_steps_ : 0; }

 private:
  DurationHistogram histogram_;
  StepTotals total_, window_;
  double recent_steps_ = 0, recent_seconds_ = 0;
};

}  // namespace lockstep
