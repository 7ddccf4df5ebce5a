// The progress engines of a process: who waits for one communicator's collective keeps all of them going.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

namespace lockstep {

class ProgressEngine;

// Why: rank 0 may wait for communicator A while rank 1 waits for B. Each then needs the other's next step on the
// communicator that the other is not waiting for.
class ProgressRegistry {
 public:
  // The one that make_communicator() uses. Ranks that are threads of one process need one each.
  static std::shared_ptr<ProgressRegistry> of_process();

  void add(ProgressEngine& engine);
  // Returns when nobody is pushing the engine through this registry any more.
  void remove(ProgressEngine& engine);

  // Gives the collectives of all engines but `self` (which may be null) a push. Never blocks; failures stay with the
  // engine that has them. No lock of an engine may be held.
  void push_all_but(const ProgressEngine* self) noexcept;

 private:
  std::mutex mutex_;
  std::vector<ProgressEngine*> engines_;  // guarded by mutex_
  std::atomic<int> count_{0};
};

}  // namespace lockstep
