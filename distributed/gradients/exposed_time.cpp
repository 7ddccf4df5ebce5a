#include "lockstep/distributed/gradients/exposed_time.h"

namespace lockstep {

void ExposedTime::record(c10::Event& event) const {
  event.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
}

void ExposedTime::begin() {
  measuring_ = on_ && under_way_.size() < kAtOnce;
  if (!measuring_) return;
  if (device_.is_cpu()) {
    begin_ = std::chrono::steady_clock::now();
    return;
  }
  if (free_.empty()) free_.emplace_back(new_event(), new_event());
  record(free_.front().first);
}

void ExposedTime::end() {
  if (!measuring_) return;
  measuring_ = false;
  if (device_.is_cpu()) {
    of_host_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    return;
  }
  record(free_.front().second);
  under_way_.push_back(std::move(free_.front()));
  free_.pop_front();
}

std::optional<double> ExposedTime::take() {
  if (device_.is_cpu()) return std::exchange(of_host_, std::nullopt);
  if (!on_ || under_way_.empty() || !under_way_.front().second.query()) return {};
  const double milliseconds = under_way_.front().first.elapsedTime(under_way_.front().second);
  free_.push_back(std::move(under_way_.front()));
  under_way_.pop_front();
  return milliseconds * 1e-3;
}

}  // namespace lockstep
