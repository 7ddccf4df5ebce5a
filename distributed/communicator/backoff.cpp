#include "lockstep/distributed/communicator/backoff.h"

#include <sched.h>

#include <algorithm>
#include <thread>

namespace lockstep {

void Backoff::pause(Nap* nap) {
  constexpr std::uint32_t looks_per_clock = 16;  // reading the clock costs as much as several looks
  if (looks_ == 0) start_ = Clock::now();
  if (++looks_ % looks_per_clock == 0 || waited_ >= spin_) {
    waited_ = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start_);
  }
  if (waited_ < spin_) {
    cpu_relax();
  } else if (waited_ < yield_until_) {
    sched_yield();
  } else {
    const auto limit = std::min<std::chrono::microseconds>(waited_ / 16, std::chrono::microseconds(500));
    if (nap != nullptr) {
      nap->sleep(limit);
    } else {
      std::this_thread::sleep_for(limit);
    }
  }
}

}  // namespace lockstep
