// What happens to averaged gradients before the optimizer sees them: clipping, and steps that are left out.
#pragma once

#include <cstdint>
#include <optional>

#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/outlier_watch.h"
#include "lockstep/distributed/optimizer/stateful.h"

namespace lockstep {

struct GuardOptions {
  std::optional<double> clip_norm;      // limit of the norm of all gradients
  std::optional<double> skip_outliers;  // in standard deviations of the norm over the window
  std::int64_t outlier_window = 100;    // steps
};

// A norm that is not finite: with skip_outliers the step is left out; else it ends the training where clipping has
// computed the norm on the CPU. On a GPU, clipping alone does not look at the norm, because the host would have to wait
// for it: NaN goes through and the loss of the next step tells. Every rank decides alike, gradients being equal.
class GradientGuard : public Stateful {
 public:
  explicit GradientGuard(GuardOptions options);

  struct Verdict {
    bool skip = false;
    double scale = 1;            // for Optimizer::step()
    std::optional<double> norm;  // before clipping, where it is known
  };
  // After the synchronisation. step: its number, for messages. Throws Failure(usage) as said above.
  Verdict operator()(DataParallel& model, std::int64_t step);

  // "outliers.norms"
  NamedTensors state() override;

 private:
  GuardOptions options_;
  std::optional<OutlierWatch> watch_;
};

}  // namespace lockstep
