// In which floating type the forward pass computes.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace lockstep {

// While alive, and with "bf16" or "fp16", operations that gain from it (matrix products, convolutions) run in bfloat16
// or float16; parameters, their gradients and the optimizer stay float32. bfloat16 has float32's range; float16 has not:
// its losses are scaled (loss_scaler.h). "fp32": does nothing.
class AutocastScope {
 public:
  AutocastScope(const std::string& precision, c10::Device device);
  ~AutocastScope();
  AutocastScope(const AutocastScope&) = delete;
  AutocastScope& operator=(const AutocastScope&) = delete;

 private:
  bool active_;
  bool was_enabled_ = false;
  c10::DeviceType device_;
};

}  // namespace lockstep
