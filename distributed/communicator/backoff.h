// How a rank waits for its peers: short waits must cost nothing, long ones must leave the core to others.
#pragma once

#include <chrono>
#include <cstdint>

#include "lockstep/distributed/communicator/bell.h"

namespace lockstep {

// Tells the core that this is a spin loop.
inline void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

// Call pause() after every look that found nothing: it spins for some microseconds, then yields the core, then sleeps
// for at most a sixteenth of the time waited so far, so that no wait becomes much longer by it. A bell ends the sleep
// earlier: make a Nap before the look when sleeps() says so.
class Backoff {
 public:
  // crowded: more ranks than cores here, the peer may need this very core to run.
  explicit Backoff(bool crowded) : spin_(crowded ? 2 : 50), yield_until_(crowded ? 200 : 2000) {}

  void pause(Nap* nap = nullptr);  // null: only time ends the sleep
  // Whether the next pause() sleeps, as far as the last one saw.
  bool sleeps() const { return waited_ >= yield_until_; }
  // Since the first pause(), as the last one saw it.
  std::chrono::microseconds waited() const { return waited_; }
  // The same, exactly; 0 when there was none.
  double seconds_since_first_pause() const {
    return looks_ == 0 ? 0.0 : std::chrono::duration<double>(Clock::now() - start_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::chrono::microseconds spin_;
  std::chrono::microseconds yield_until_;
  std::chrono::microseconds waited_{0};
  Clock::time_point start_{};
  std::uint32_t looks_ = 0;
};

}  // namespace lockstep
