// How long a rank stands still for the others' gradients.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>

namespace lockstep {

// Between begin(), when backward has nothing left to compute, and end(), when the gradients are averaged. On the CPU
// that is the host's time. On a GPU the host only gives orders: two timing events in the current stream stand for the
// two moments, and are read when the GPU has passed them, a few steps later; nobody waits for them.
class ExposedTime {
 public:
  explicit ExposedTime(c10::Device device) : device_(device) {}

  // While off, nothing is measured: in a stream whose work is recorded an event tells no time. Returns what held
  // before.
  bool enable(bool on) { return std::exchange(on_, on); }
  void begin();
  void end();

  // Seconds of one measurement, each given out once and in their order; nothing when none has become known.
  std::optional<double> take();

 private:
  using EventPair = std::pair<c10::Event, c10::Event>;
  c10::Event new_event() const { return c10::Event(device_.type(), c10::EventFlag::BACKEND_DEFAULT); }
  void record(c10::Event& event) const;

  // More steps than a host runs ahead; a step that finds all in use goes without.
  static constexpr std::size_t kAtOnce = 16;

  const c10::Device device_;
  bool on_ = true;
  bool measuring_ = false;
  std::chrono::steady_clock::time_point begin_;
  std::optional<double> of_host_;
  std::deque<EventPair> under_way_, free_;
};

}  // namespace lockstep
