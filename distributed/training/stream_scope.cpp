#include "lockstep/distributed/training/stream_scope.h"

#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace lockstep {

c10::Stream current_stream(c10::Device device) { return c10::impl::VirtualGuardImpl(device.type()).getStream(device); }

c10::Stream new_stream(c10::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

void let_wait(const c10::Stream& later, const c10::Stream& earlier) {
  c10::Event reached(earlier.device_type());
  reached.record(earlier);
  reached.block(later);
}

StreamScope::StreamScope(c10::Device device) {
  if (device.is_cpu()) return;
  before_ = current_stream(device);
  mine_ = new_stream(device);
  let_wait(*mine_, *before_);
  guard_.emplace(*mine_);
}

StreamScope::~StreamScope() {
  if (!guard_) return;
  guard_.reset();
  try {
    let_wait(*before_, *mine_);
  } catch (...) {  // the device has failed: whoever uses it next is told
  }
}

}  // namespace lockstep
