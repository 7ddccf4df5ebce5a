#include "lockstep/distributed/communicator/progress_registry.h"

#include "lockstep/distributed/communicator/progress_engine.h"

namespace lockstep {

std::shared_ptr<ProgressRegistry> ProgressRegistry::of_process() {
  static const auto registry = std::make_shared<ProgressRegistry>();
  return registry;
}

void ProgressRegistry::add(ProgressEngine& engine) {
  const std::scoped_lock lock(mutex_);
  engines_.push_back(&engine);
  count_.store(static_cast<int>(engines_.size()), std::memory_order_relaxed);
}

void ProgressRegistry::remove(ProgressEngine& engine) {
  const std::scoped_lock lock(mutex_);
  std::erase(engines_, &engine);
  count_.store(static_cast<int>(engines_.size()), std::memory_order_relaxed);
}

void ProgressRegistry::push_all_but(const ProgressEngine* self) noexcept {
  if (count_.load(std::memory_order_relaxed) <= (self != nullptr ? 1 : 0)) return;  // the usual case costs one load
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;  // another thread is pushing all of them
  for (ProgressEngine* engine : engines_) {
    if (engine != self) engine->push_for_others();
  }
}

}  // namespace lockstep
