#include "lockstep/distributed/training/loss_scaler.h"

#include <string>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

constexpr double kLeast = 1;

void require(bool sound, const char* what, double value, const char* expected) {
  if (!sound)
    fail(ErrorKind::usage, std::string("the ") + what + " of the loss scale is " + std::to_string(value) +
                               ", it must be " + expected);
}

}  // namespace

LossScaler::LossScaler(LossScalerOptions options) : options_(options), state_{options.initial, 0} {
  require(options.initial >= kLeast, "beginning", options.initial, "at least 1");
  require(options.growth >= 1, "growth", options.growth, "at least 1");
  require(options.backoff > 0 && options.backoff < 1, "backoff", options.backoff, "above 0 and below 1");
  require(options.growth_interval >= 1, "growth interval", static_cast<double>(options.growth_interval), "at least 1");
}

void LossScaler::update(bool gradients_were_finite, std::int64_t step) {
  auto& [scale, good_steps] = state_;
  if (gradients_were_finite) {
    if (++good_steps < static_cast<double>(options_.growth_interval)) return;
    if (scale * options_.growth < 1e30) scale *= options_.growth;  // float32 must hold the scaled loss
    good_steps = 0;
    return;
  }
  if (scale <= kLeast)
    fail(ErrorKind::usage, "the gradients of step " + std::to_string(step) + " are not finite, even unscaled",
         "the training has diverged: lower --learning-rate, add --warmup-steps, or train with --precision bf16");
  scale = scale * options_.backoff < kLeast ? kLeast : scale * options_.backoff;
  good_steps = 0;
}

}  // namespace lockstep
