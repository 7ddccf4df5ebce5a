#include "lockstep/distributed/training/gradient_guard.h"

#include <ATen/ops/from_blob.h>

#include <cmath>
#include <cstdio>

#include "lockstep/core/error.h"
#include "lockstep/distributed/optimizer/gradient_norm.h"

namespace lockstep {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

}  // namespace

GradientGuard::GradientGuard(GuardOptions options) : options_(options) {
  if (options_.skip_outliers) watch_.emplace(*options_.skip_outliers, options_.outlier_window);
  if (options_.loss_scale) scaler_.emplace(*options_.loss_scale);
}

GradientGuard::Verdict GradientGuard::operator()(DataParallel& model, std::int64_t step) {
  Verdict verdict;
  if (!options_.clip_norm && !watch_ && !scaler_) return verdict;
  const double loss_scale = this->loss_scale();
  at::Tensor norm;
  if (options_.clip_norm) {
    const Clipped clipped = clip_gradients(model, *options_.clip_norm * loss_scale);
    norm = clipped.norm;
    verdict.scale = clipped.scale;
  } else {
    norm = gradient_norm(model);
  }
  verdict.scale /= loss_scale;
  if (watch_ || scaler_ || norm.is_cpu()) verdict.norm = norm.item<double>() / loss_scale;
  const bool finite = !verdict.norm || std::isfinite(*verdict.norm);
  if (scaler_) {
    scaler_->update(finite, step);
    if (!finite) {
      verdict.skip = true;
      verdict.reason = "its gradients are not finite in float16; the loss scale is now " + number(scaler_->scale());
      return verdict;
    }
  }
  if (watch_) {
    verdict.skip = watch_->is_outlier(*verdict.norm);
    if (verdict.skip) verdict.reason = "the norm of its gradients is " + number(*verdict.norm);
  } else if (!finite) {
    fail(ErrorKind::usage,
         std::string("the norm of the gradients is ") + (std::isnan(*verdict.norm) ? "NaN" : "infinite") + " at step " +
             std::to_string(step),
         "the training has diverged: lower --learning-rate, add --warmup-steps, or leave such steps out: "
         "--skip-outliers 6");
  }
  return verdict;
}

NamedTensors GradientGuard::state() {
  NamedTensors named;
  const auto add = [&](const char* name, auto& values) {
    named.emplace_back(name, at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kDouble));
  };
  if (watch_) add("outliers.norms", watch_->state());
  if (scaler_) add("loss_scale", scaler_->state());
  return named;
}

}  // namespace lockstep
