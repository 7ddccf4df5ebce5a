#include "lockstep/distributed/training/loss_meter.h"

#include <ATen/ops/zeros.h>

#include <cmath>
#include <string>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

[[noreturn]] void refuse(double loss, const std::string& when) {
  fail(ErrorKind::usage, "the loss is " + std::string(std::isnan(loss) ? "NaN" : "infinite") + " at " + when,
       "the training has diverged: lower --learning-rate, add --warmup-steps, or look at the data");
}

}  // namespace

void LossMeter::add(const at::Tensor& loss, std::int64_t samples, std::int64_t step) {
  count(samples, step, step);
  if (!loss.is_cpu()) return add_on_device(loss, samples);
  const double value = *loss.const_data_ptr<float>();
  if (!std::isfinite(value)) refuse(value, "step " + std::to_string(step));
  host_.loss += value * static_cast<double>(samples);
}

void LossMeter::add_on_device(const at::Tensor& loss, std::int64_t samples) {
  if (!device_.defined()) device_ = at::zeros({}, loss.options().dtype(at::kDouble).requires_grad(false));
  device_.add_(loss.detach(), static_cast<double>(samples));
}

void LossMeter::count(std::int64_t samples, std::int64_t first, std::int64_t last) {
  if (first_step_ < 0) first_step_ = first;
  last_step_ = last;
  host_.samples += samples;
}

LossSums LossMeter::sums() {
  if (device_.defined()) {
    host_.loss += device_.item<double>();
    device_.zero_();
    if (!std::isfinite(host_.loss))
      refuse(host_.loss, "one of the steps " + std::to_string(first_step_) + " to " + std::to_string(last_step_));
  }
  return host_;
}

void LossMeter::reset(LossSums start) {
  host_ = start;
  if (device_.defined()) device_.zero_();
  first_step_ = last_step_ = -1;
}

}  // namespace lockstep
