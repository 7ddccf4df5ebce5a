#include "lockstep/distributed/communicator/progress_engine.h"

#include <exception>
#include <utility>

#include "lockstep/distributed/communicator/backoff.h"

namespace lockstep {
namespace {

// From here on a waiting rank sleeps between its looks (backoff.h): asking costs nothing.
constexpr double kUninterruptedSeconds = 2e-3;
// A rank that waits longer than this looks now and then whether another asks for it.
constexpr double kQuietSeconds = 0.25, kLookSeconds = 0.05;
constexpr std::chrono::milliseconds kRollCall(1000);

}  // namespace

bool EngineOperation::done() {
  if (!complete()) engine_->progress();
  return complete();
}

void EngineOperation::wait() {
  if (!complete()) engine_->wait(*this);
}

void EngineOperation::drop() noexcept {
  if (!complete()) engine_->drop(*this);
}

void EngineOperation::restart(std::shared_ptr<ProgressEngine> engine) {
  engine_ = std::move(engine);
  stage_.store(Stage::queued, std::memory_order_relaxed);
}

ProgressEngine::ProgressEngine(ProgressOptions options) : options_(std::move(options)) {
  queue_.reserve(64);
  if (options_.thread) thread_ = std::thread([this] { run_thread(); });
  if (options_.registry) options_.registry->add(*this);
}

ProgressEngine::~ProgressEngine() { close(); }

void ProgressEngine::submit(std::shared_ptr<EngineOperation> operation, std::int64_t bytes) {
  {
    std::unique_lock lock(mutex_);
    throw_if_failed();
    ++statistics_.calls;
    statistics_.bytes += static_cast<std::uint64_t>(bytes);
    queue_.push_back(std::move(operation));
    busy_.store(true, std::memory_order_relaxed);
    push(lock);
  }
  if (options_.thread) wake_.notify_one();
}

void ProgressEngine::progress() {
  push_others();
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;  // somebody else is pushing at this moment
  throw_if_failed();
  push(lock);
}

void ProgressEngine::push_others() const {
  if (options_.registry) options_.registry->push_all_but(this);
}

void ProgressEngine::push_for_others() noexcept {
  if (options_.thread || !busy_.load(std::memory_order_relaxed)) return;
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock || failure_) return;
  try {
    push(lock);
  } catch (const Failure&) {  // kept in failure_
  }
}

// Lock held. Every operation goes as far as it can, but not past its predecessor.
void ProgressEngine::push(std::unique_lock<std::mutex>&) {
  try {
    Stage limit = Stage::done;
    std::size_t finished = 0;
    for (auto& operation : queue_) {
      operation->advance(limit);
      limit = operation->stage();
      if (limit == Stage::done) ++finished;
      if (limit == Stage::queued) break;
    }
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(finished));
    if (queue_.empty()) busy_.store(false, std::memory_order_relaxed);
  } catch (const std::exception& e) {
    Error error = to_error(e);
    if (error.where.empty()) error.where = options_.where;
    fail_with(error);
    throw Failure(error);
  }
}

// Lock held.
void ProgressEngine::fail_with(const Error& error) {
  if (failure_) return;
  failure_ = error;
  failed_.store(true, std::memory_order_release);
}

// Lock held.
void ProgressEngine::throw_if_failed() {
  if (failure_) throw Failure(*failure_);
  if (closed_) {
    fail(ErrorKind::usage, "the communicator of this collective has been destroyed", {}, options_.where);
  }
}

namespace {

// Adds the time of one wait to `seconds`. A wait that finds everything done does not look at the clock.
struct WaitClock {
  Backoff& backoff;
  double& seconds;
  ~WaitClock() { seconds += backoff.seconds_since_first_pause(); }
};

}  // namespace

void ProgressEngine::wait(EngineOperation& operation) { wait_until_done(operation, options_.timeout_seconds); }

void ProgressEngine::wait_until_done(EngineOperation& operation, double limit_seconds) {
  Backoff backoff(options_.crowded);
  const WaitClock clock{backoff, statistics_.waited_seconds};
  double next_look = kQuietSeconds;
  while (true) {
    std::optional<Nap> nap;
    if (backoff.sleeps()) nap.emplace(operation.bell());
    std::unique_lock lock(mutex_, std::defer_lock);
    // With a thread at work the lock may be held for the length of a reduction; watch for the end of it instead.
    if (!options_.thread || lock.try_lock()) {
      if (!lock) lock.lock();
      if (operation.complete()) return;
      throw_if_failed();
      push(lock);
      lock.unlock();
    }
    if (operation.complete()) return;
    push_others();
    backoff.pause(nap ? &*nap : nullptr);
    const double waited = std::chrono::duration<double>(backoff.waited()).count();
    if (waited > kUninterruptedSeconds) throw_if_interrupted();
    if (waited > limit_seconds) fail_timeout(operation, waited);
    if (waited < next_look) continue;
    if (options_.roll_call) options_.roll_call->answer(operation.description());
    next_look = waited + kLookSeconds;
  }
}

void ProgressEngine::throw_if_interrupted() {
  if (!options_.interrupted) return;
  const auto error = options_.interrupted();
  if (!error) return;
  abort(*error);
  throw Failure(*error);
}

void ProgressEngine::abort(const Error& error) noexcept {
  const std::scoped_lock lock(mutex_);
  fail_with(error);
}

void ProgressEngine::fail_timeout(EngineOperation& operation, double seconds) {
  const std::string absent = options_.roll_call ? options_.roll_call->ask(operation.description(), kRollCall) : "";
  std::unique_lock lock(mutex_);
  throw_if_failed();
  std::string what = operation.description() + " is not complete after " + std::to_string(seconds).substr(0, 5) + " s";
  if (const std::string whom = absent.empty() ? operation.waiting_for() : absent; !whom.empty()) what += ": " + whom;
  const Error error{ErrorKind::peer_lost, std::move(what), options_.where,
                    "a rank died, hangs or took another path; its log says more. Where a rank may rightly take that "
                    "long, raise the timeout"};
  fail_with(error);
  throw Failure(error);
}

void ProgressEngine::drop(EngineOperation& operation) noexcept {
  constexpr double unwinding_limit_seconds = 1;
  const bool unwinding = std::uncaught_exceptions() > 0;
  try {
    wait_until_done(operation, unwinding ? unwinding_limit_seconds : options_.timeout_seconds);
  } catch (...) {  // kept in failure_: the next call on this communicator throws it
  }
}

void ProgressEngine::wait_until_idle() {
  while (true) {
    std::unique_lock lock(mutex_);
    throw_if_failed();
    if (queue_.empty()) return;
    const auto last = queue_.back();
    lock.unlock();
    last->wait();
  }
}

void ProgressEngine::close() noexcept {
  std::shared_ptr<EngineOperation> last;
  {
    std::unique_lock lock(mutex_);
    if (!queue_.empty() && !failure_) last = queue_.back();
  }
  if (last) drop(*last);
  if (options_.registry) options_.registry->remove(*this);
  if (options_.roll_call && failed()) options_.roll_call->abandon();
  {
    std::unique_lock lock(mutex_);
    queue_.clear();
    closed_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ProgressEngine::run_thread() {
  std::unique_lock lock(mutex_);
  while (!closed_) {
    wake_.wait(lock, [this] { return closed_ || (!queue_.empty() && !failure_); });
    Backoff backoff(options_.crowded);
    while (!closed_ && !failure_ && !queue_.empty()) {
      const std::size_t before = queue_.size();
      std::optional<Nap> nap;
      if (backoff.sleeps()) nap.emplace(queue_.front()->bell());
      try {
        push(lock);
      } catch (const Failure&) {  // kept in failure_: whoever waits throws it
        break;
      }
      if (queue_.size() != before) backoff = Backoff(options_.crowded);
      lock.unlock();
      backoff.pause(nap ? &*nap : nullptr);
      lock.lock();
    }
  }
}

}  // namespace lockstep
