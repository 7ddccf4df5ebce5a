#include "lockstep/distributed/training/precision.h"

#include <ATen/autocast_mode.h>

namespace lockstep {

AutocastScope::AutocastScope(const std::string& precision, c10::Device device)
    : active_(precision != "fp32"), device_(device.type()) {
  if (!active_) return;
  was_enabled_ = at::autocast::is_autocast_enabled(device_);
  at::autocast::set_autocast_enabled(device_, true);
  at::autocast::set_autocast_dtype(device_, precision == "bf16" ? at::kBFloat16 : at::kHalf);
  at::autocast::increment_nesting();
}

AutocastScope::~AutocastScope() {
  if (!active_) return;
  // The outermost scope drops the 16-bit copies of the parameters: they are stale after the optimizer's step.
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device_, was_enabled_);
}

}  // namespace lockstep
