#include "lockstep/distributed/optimizer/outlier_watch.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace lockstep {
namespace {

constexpr std::size_t kFilled = 0, kInARow = 1, kNext = 2, kValues = 3;
constexpr double kSmallestDeviation = 1e-3;  // of the mean: a window of equal values shall not make all others outliers

}  // namespace

OutlierWatch::OutlierWatch(double limit, std::int64_t window, std::int64_t patience)
    : limit_(limit), window_(window), patience_(patience), state_(kValues + static_cast<std::size_t>(window)) {}

bool OutlierWatch::is_outlier(double value) {
  const auto values = state_.begin() + kValues;
  bool outlier = !std::isfinite(value);
  if (!outlier && static_cast<std::int64_t>(state_[kFilled]) == window_) {
    const double mean = std::accumulate(values, state_.end(), 0.0) / static_cast<double>(window_);
    double squares = 0;
    for (auto v = values; v != state_.end(); ++v) squares += (*v - mean) * (*v - mean);
    const double deviation =
        std::max(std::sqrt(squares / static_cast<double>(window_)), kSmallestDeviation * std::abs(mean));
    outlier = value > mean + limit_ * deviation;
  }
  if (outlier) {
    if (++state_[kInARow] < static_cast<double>(patience_)) return true;
    std::fill(state_.begin(), state_.end(), 0);
    return true;
  }
  state_[kInARow] = 0;
  values[static_cast<std::ptrdiff_t>(state_[kNext])] = value;
  state_[kNext] = std::fmod(state_[kNext] + 1, static_cast<double>(window_));
  state_[kFilled] = std::min(state_[kFilled] + 1, static_cast<double>(window_));
  return false;
}

}  // namespace lockstep
