// Which steps are out of the ordinary: a value (a loss, a gradient's norm) against those of the steps before. Pure.
#pragma once

#include <cstdint>
#include <vector>

namespace lockstep {

// A value is an outlier when it is not finite, or above the mean of the last `window` ordinary values by more than
// `limit` of their standard deviations. Outliers do not enter the window; after `patience` in a row the window is
// forgotten, because then it is the training that has changed. Small values are never outliers.
class OutlierWatch {
 public:
  // limit > 0, in standard deviations. window >= 2; nothing finite is an outlier before it is full.
  OutlierWatch(double limit, std::int64_t window, std::int64_t patience = 10);

  // Judges the value of a step and remembers it.
  bool is_outlier(double value);

  // For checkpoints: [number of values so far in the window, outliers in a row, place of the next value, the values…].
  std::vector<double>& state() { return state_; }

 private:
  double limit_;
  std::int64_t window_, patience_;
  std::vector<double> state_;
};

}  // namespace lockstep
