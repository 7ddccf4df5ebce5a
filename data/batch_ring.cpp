#include "lockstep/data/batch_ring.h"

#include <algorithm>
#include <utility>

namespace lockstep {

BatchRing::BatchRing(std::size_t slots, int threads, Fill fill)
    : fill_(std::move(fill)), slots_(std::max<std::size_t>(slots, threads > 0 ? 2 : 1)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

BatchRing::~BatchRing() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void BatchRing::restart(std::int64_t step_count) {
  std::unique_lock lock(mutex_);
  step_count_ = 0;  // nothing new is begun
  done_.wait(lock, [this] { return busy_ == 0; });
  for (Slot& slot : slots_) slot = {};
  step_count_ = step_count;
  started_ = taken_ = 0;
  lock.unlock();
  work_.notify_all();
}

std::int64_t BatchRing::take() {
  std::unique_lock lock(mutex_);
  if (taken_ == step_count_) return -1;
  const std::int64_t step = taken_++;
  const std::size_t index = static_cast<std::size_t>(step) % slots_.size();
  if (threads_.empty()) {
    lock.unlock();
    fill_(step, index);
    return static_cast<std::int64_t>(index);
  }
  work_.notify_one();  // the slot in use until now can be filled
  done_.wait(lock, [&] { return slots_[index].step == step; });
  if (slots_[index].error) std::rethrow_exception(slots_[index].error);
  return static_cast<std::int64_t>(index);
}

std::int64_t BatchRing::next_to_make() const {
  // The step in use is taken_ - 1; its slot is free for step taken_ - 1 + slots only once the next one is taken.
  const std::int64_t limit =
      std::min(step_count_, std::max<std::int64_t>(taken_, 1) - 1 + static_cast<std::int64_t>(slots_.size()));
  return started_ < limit ? started_ : -1;
}

void BatchRing::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stopping_ || next_to_make() >= 0; });
    if (stopping_) return;
    const std::int64_t step = started_++;
    const std::size_t index = static_cast<std::size_t>(step) % slots_.size();
    ++busy_;
    lock.unlock();
    std::exception_ptr error;
    try {
      fill_(step, index);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    --busy_;
    slots_[index] = {step, std::move(error)};
    done_.notify_all();
  }
}

}  // namespace lockstep
