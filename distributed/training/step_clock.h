// How long steps take, and how much of it is waiting for other ranks; constant memory, whatever the number of steps.
#pragma once

#include <array>
#include <cstdint>

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
  std::int64_t samples = 0;    // of all ranks
  double seconds = 0;          // inside steps: data, forward, backward, update; not evaluation, checkpoints
  double exposed_seconds = 0;  // of these, waiting for collectives

  void add(const StepTotals& other);
};

class StepClock {
 public:
  void add(double seconds, std::int64_t samples, double exposed_seconds);
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
