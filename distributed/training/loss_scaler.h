// The factor that keeps float16 gradients above float16's smallest numbers.
#pragma once

#include <array>
#include <cstdint>

namespace lockstep {

struct LossScalerOptions {
  double initial = 65536;
  double growth = 2;
  double backoff = 0.5;
  std::int64_t growth_interval = 2000;  // good steps until the scale grows
};

// As torch.amp.GradScaler: the scale shrinks after gradients that are not finite and grows after a row of good steps.
// Plain numbers: every rank has the same, gradients being equal.
class LossScaler {
 public:
  // Throws Failure(usage): a scale or factor that is not above 0, growth below 1, backoff not below 1, interval below 1.
  explicit LossScaler(LossScalerOptions options);

  double scale() const { return state_[0]; }

  // After each step. Throws Failure(usage) when gradients are not finite though the scale has come down to 1: then the
  // training diverges, and no scale helps.
  void update(bool gradients_were_finite, std::int64_t step);

  // For checkpoints: the scale, and good steps since it changed.
  std::array<double, 2>& state() { return state_; }

 private:
  LossScalerOptions options_;
  std::array<double, 2> state_;
};

}  // namespace lockstep
