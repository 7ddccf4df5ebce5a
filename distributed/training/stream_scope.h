// A stream of a training's own, as the work that a CUDA graph records must not be in the device's default stream.
#pragma once

#include <c10/core/Device.h>
#include <c10/core/Stream.h>
#include <c10/core/StreamGuard.h>

#include <optional>

namespace lockstep {

// While alive, a stream from LibTorch's pool is the current one of this thread; backward follows it. It begins when the
// one before it has done what it was given, and that one goes on when this one has. On the CPU nothing happens.
class StreamScope {
 public:
  explicit StreamScope(c10::Device device);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  std::optional<c10::Stream> before_, mine_;
  std::optional<c10::StreamGuard> guard_;
};

// `later` goes on when `earlier` has done what it was given so far; the host waits for neither.
void let_wait(const c10::Stream& later, const c10::Stream& earlier);

c10::Stream current_stream(c10::Device device);
c10::Stream new_stream(c10::Device device);

}  // namespace lockstep
