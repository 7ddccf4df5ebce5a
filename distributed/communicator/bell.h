// How a rank that sleeps is woken by one that has something for it: a futex in memory that both see.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace lockstep {

// All zero at the start. On cache lines that change only when its owner sleeps: to look whether it does costs nothing.
struct alignas(128) Bell {
  std::atomic<std::uint32_t> rings;
  std::atomic<std::uint32_t> sleepers;  // threads that are about to sleep, or do
};

// Call it behind the store that the bell's owner may wait for. A system call where somebody sleeps, else one load.
// There is no fence between store and load, which would cost each collective a tenth of a microsecond: where the two
// pass each other, nobody is woken, and the sleeper looks again when its time is up.
void ring(Bell& bell);

// Make it, look once more whether there is something to do, and sleep if there is not: what rings after the look began
// ends the sleep, or keeps it from beginning.
class Nap {
 public:
  explicit Nap(Bell* bell);  // null: only time wakes
  ~Nap();
  Nap(const Nap&) = delete;
  Nap& operator=(const Nap&) = delete;

  // Until the bell rings, for `limit` at most. May end without a reason.
  void sleep(std::chrono::microseconds limit);

 private:
  Bell* bell_;
  std::uint32_t heard_ = 0;
};

}  // namespace lockstep
