// Batches made ahead of their use, in a ring of slots that are filled again and again. Knows threads, but no tensors.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace lockstep {

// Steps are numbered 0, 1, 2, … from the last restart(). Step s is made in slot s % slots; at most slots - 1 steps are
// made ahead of the one in use, so the batch in use is never overwritten.
class BatchRing {
 public:
  // Makes step `step` in slot `slot`. Called from the ring's threads, several at once but never twice for one slot.
  using Fill = std::function<void(std::int64_t step, std::size_t slot)>;

  // threads: 0 makes each batch when it is asked for, in take(). slots: at least 1, with threads at least 2.
  BatchRing(std::size_t slots, int threads, Fill fill);
  ~BatchRing();  // waits for the batches being made
  BatchRing(const BatchRing&) = delete;
  BatchRing& operator=(const BatchRing&) = delete;

  // Forgets all batches; steps [0, step_count) follow. Waits for the batches being made.
  void restart(std::int64_t step_count);
  // The slot of the next step, filled; -1 after the last. The slot taken before is free again. Rethrows what Fill threw
  // for this step.
  std::int64_t take();

 private:
  void run();
  std::int64_t next_to_make() const;  // -1: nothing to do now

  struct Slot {
    std::int64_t step = -1;  // the step whose batch, or error, it holds
    std::exception_ptr error;
  };

  Fill fill_;
  std::vector<Slot> slots_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable work_, done_;
  std::int64_t step_count_ = 0;
  std::int64_t started_ = 0;  // steps that a thread has begun
  std::int64_t taken_ = 0;    // steps handed out; the last of them is in use
  int busy_ = 0;              // threads inside fill_
  bool stopping_ = false;
};

}  // namespace lockstep
