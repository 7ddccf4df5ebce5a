#include "lockstep/distributed/training/gradient_guard.h"

#include <ATen/ops/from_blob.h>

#include <cmath>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/gradient_norm.h"

namespace lockstep {

GradientGuard::GradientGuard(GuardOptions options) : options_(options) {
  if (options_.skip_outliers) watch_.emplace(*options_.skip_outliers, options_.outlier_window);
}

GradientGuard::Verdict GradientGuard::operator()(DataParallel& model, std::int64_t step) {
  Verdict verdict;
  if (!options_.clip_norm && !watch_) return verdict;
  at::Tensor norm;
  if (options_.clip_norm) {
    const Clipped clipped = clip_gradients(model, *options_.clip_norm);
    norm = clipped.norm;
    verdict.scale = clipped.scale;
  } else {
    norm = gradient_norm(model);
  }
  if (watch_ || norm.is_cpu()) verdict.norm = norm.item<double>();
  if (watch_) {
    verdict.skip = watch_->is_outlier(*verdict.norm);
  } else if (verdict.norm && !std::isfinite(*verdict.norm)) {
    fail(ErrorKind::usage,
         std::string("the norm of the gradients is ") + (std::isnan(*verdict.norm) ? "NaN" : "infinite") + " at step " +
             std::to_string(step),
         "the training has diverged: lower --learning-rate, add --warmup-steps, or leave such steps out: "
         "--skip-outliers 6");
  }
  return verdict;
}

NamedTensors GradientGuard::state() {
  if (!watch_) return {};
  auto& values = watch_->state();
  return {{"outliers.norms", at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kDouble)}};
}

}  // namespace lockstep
