#include "lockstep/distributed/communicator/bell.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <ctime>
#include <thread>

namespace lockstep {
namespace {

// Not the private kind: other processes wait at other addresses.
void futex(std::atomic<std::uint32_t>& word, int what, std::uint32_t value, const timespec* limit) {
  static_assert(sizeof(word) == 4 && std::atomic<std::uint32_t>::is_always_lock_free);
  syscall(SYS_futex, &word, what, value, limit, nullptr, 0);
}

}  // namespace

void ring(Bell& bell) {
  if (bell.sleepers.load(std::memory_order_relaxed) == 0) return;
  bell.rings.fetch_add(1, std::memory_order_release);
  futex(bell.rings, FUTEX_WAKE, INT_MAX, nullptr);
}

Nap::Nap(Bell* bell) : bell_(bell) {
  if (bell_ == nullptr) return;
  bell_->sleepers.fetch_add(1, std::memory_order_seq_cst);  // before the look that follows
  heard_ = bell_->rings.load(std::memory_order_acquire);
}

Nap::~Nap() {
  if (bell_ != nullptr) bell_->sleepers.fetch_sub(1, std::memory_order_relaxed);
}

void Nap::sleep(std::chrono::microseconds limit) {
  if (bell_ == nullptr) {
    std::this_thread::sleep_for(limit);
    return;
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec time{seconds.count(), std::chrono::nanoseconds(limit - seconds).count()};
  futex(bell_->rings, FUTEX_WAIT, heard_, &time);
}

}  // namespace lockstep
