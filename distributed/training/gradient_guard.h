// What happens to averaged gradients before the optimizer sees them: clipping, steps that are left out, and the loss
// scale of float16.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/outlier_watch.h"
#include "lockstep/distributed/optimizer/stateful.h"
#include "lockstep/distributed/training/loss_scaler.h"

namespace lockstep {

struct GuardOptions {
  std::optional<double> clip_norm = {};      // limit of the norm of all gradients
  std::optional<double> skip_outliers = {};  // in standard deviations of the norm over the window
  std::int64_t outlier_window = 100;         // steps
  std::optional<LossScalerOptions> loss_scale = {};
};

// A norm that is not finite: with skip_outliers the step is left out; else it ends the training where clipping has
// computed the norm on the CPU. On a GPU, clipping alone does not look at the norm, because the host would have to wait
// for it: NaN goes through and the loss of the next step tells. With a loss scale such a step is left out and the scale
// shrinks. Every rank decides alike, gradients being equal.
class GradientGuard : public Stateful {
 public:
  explicit GradientGuard(GuardOptions options);

  struct Verdict {
    bool skip = false;
    double scale = 1;            // for Optimizer::step()
    std::optional<double> norm;  // before clipping, of the unscaled gradients, where it is known
    std::string reason = {};     // why it is to be skipped
  };
  // What losses are to be multiplied by before backward; 1 without a loss scale.
  double loss_scale() const { return scaler_ ? scaler_->scale() : 1; }

  // After the synchronisation. step: its number, for messages. Throws Failure(usage) as said above.
  Verdict operator()(DataParallel& model, std::int64_t step);

  // "outliers.norms", "loss_scale"
  NamedTensors state() override;

 private:
  GuardOptions options_;
  std::optional<OutlierWatch> watch_;
  std::optional<LossScaler> scaler_;
};

}  // namespace lockstep
