// Drives the collectives of one communicator, in the order of their calls, by whoever has time: the caller, a waiting
// rank, or a thread of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "lockstep/core/error.h"
#include "lockstep/distributed/communicator/bell.h"
#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/communicator/operation.h"
#include "lockstep/distributed/communicator/progress_registry.h"
#include "lockstep/distributed/communicator/roll_call.h"

namespace lockstep {

// How far a collective has come on this rank. An operation never overtakes the one before it: the engine lets it
// advance at most to the stage of its predecessor, so every backend sees each stage in call order.
enum class Stage : std::uint8_t {
  queued,     // called, nothing announced yet
  announced,  // the peers can see that this rank has arrived
  begun,      // this rank's own part has been reduced; other nodes may still be busy
  published,  // the peers can see that this rank is finished with shared memory
  done        // the buffer may be used
};

class ProgressEngine;

// An Operation that a ProgressEngine drives.
class EngineOperation : public Operation {
 public:
  bool done() final;
  void wait() final;
  void drop() noexcept final;

  Stage stage() const { return stage_.load(std::memory_order_acquire); }
  bool complete() const { return stage() == Stage::done; }

  // One push, at most to `limit`. Called with the engine's lock held; never blocks. Throws Failure.
  virtual void advance(Stage limit) = 0;
  // "all_reduce #12 of 512 float32 (sum)", for messages.
  virtual std::string description() const = 0;
  // For the message of a timeout: "ranks 1, 3 have not arrived"; empty where the backend cannot know.
  virtual std::string waiting_for() const = 0;
  // What peers ring when they have done something that this operation may wait for; null where they cannot.
  virtual Bell* bell() { return nullptr; }

 protected:
  void reach(Stage stage) { stage_.store(stage, std::memory_order_release); }
  // For a pooled operation that begins a new life.
  void restart(std::shared_ptr<ProgressEngine> engine);

 private:
  std::shared_ptr<ProgressEngine> engine_;
  std::atomic<Stage> stage_{Stage::queued};
};

struct ProgressOptions {
  double timeout_seconds = 600;
  bool thread = false;                                     // complete operations in a thread of the engine's own
  bool crowded = false;                                    // more ranks than cores: spin less
  std::string where;                                       // "rank 3 on node07", put before error messages
  std::shared_ptr<ProgressRegistry> registry = nullptr;    // the other communicators of this rank; null: there are none
  std::function<std::optional<Error>()> interrupted = {};  // as in CommunicatorOptions
  std::shared_ptr<RollCall> roll_call = nullptr;           // null: the backend sees itself who is missing
};

class ProgressEngine {
 public:
  explicit ProgressEngine(ProgressOptions options);
  ~ProgressEngine();
  ProgressEngine(const ProgressEngine&) = delete;
  ProgressEngine& operator=(const ProgressEngine&) = delete;

  // Appends the operation and gives all of them a push. Throws the Failure of an earlier collective, if there was one:
  // after it the ranks no longer agree and the communicator is of no further use.
  // bytes: for statistics().
  void submit(std::shared_ptr<EngineOperation> operation, std::int64_t bytes);
  // Pushes everything of this rank, on other communicators too. Never blocks. Throws as submit() does.
  void progress();
  // Returns when the operation is done; throws Failure(peer_lost) after the timeout.
  void wait(EngineOperation& operation);
  void drop(EngineOperation& operation) noexcept;

  // Waits until nothing is under way. Throws as wait() does.
  void wait_until_idle();
  // A push by somebody who waits for another communicator. Never blocks; a failure is kept for the next call here.
  void push_for_others() noexcept;

  // Waits for what is under way (unless an exception unwinds), ends the thread. Later calls throw. Never throws itself.
  void close() noexcept;
  // Calls, bytes and time waited. From the thread that calls and waits.
  CommunicatorStatistics statistics() const { return statistics_; }
  // For what operations write in advance().
  std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }

  // The failure of all calls from now on, unless one has failed already.
  void abort(const Error& error) noexcept;
  // Collectives go on although nobody calls anything here.
  bool has_thread() const { return options_.thread; }
  // A collective has failed: the ranks may no longer be where they should be.
  bool failed() const { return failed_.load(std::memory_order_acquire); }

 private:
  void push(std::unique_lock<std::mutex>& lock);
  void wait_until_done(EngineOperation& operation, double limit_seconds);
  void push_others() const;
  void throw_if_failed();
  void fail_with(const Error& error);
  void run_thread();
  void throw_if_interrupted();
  [[noreturn]] void fail_timeout(EngineOperation& operation, double seconds);

  const ProgressOptions options_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<EngineOperation>> queue_;  // in call order; guarded by mutex_
  std::optional<Error> failure_;                         // guarded by mutex_
  std::atomic<bool> failed_{false};
  CommunicatorStatistics statistics_;  // of_node is not used
  std::atomic<bool> busy_{false};      // the queue is not empty; written under mutex_
  bool closed_ = false;                // guarded by mutex_
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace lockstep
