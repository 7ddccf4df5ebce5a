// Adam and AdamW over the flat buffers of a DataParallel: one pass over memory.
#pragma once

#include <vector>

#include "lockstep/distributed/optimizer/optimizer.h"

namespace lockstep {

struct AdamOptions {
  double learning_rate = 0.001;
  double beta1 = 0.9;    // what is kept of the average of gradients, 0 <= beta1 < 1
  double beta2 = 0.999;  // … and of the average of their squares
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled = true;  // AdamW: parameters shrink by learning_rate * weight_decay. false: Adam, L2 in the gradient
  std::vector<ParameterGroup> groups = {};
};

// m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2;
// p -= learning_rate / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + eps), t counted for each parameter.
// Sources: Kingma and Ba 2015; Loshchilov and Hutter 2019; torch/optim/adam.py, whose operations, order and rounding
// these are. Equal bits for float and double on the CPU with a correctly rounded square root, which torch's is not:
// up to one unit in its last place.
class FusedAdam : public Optimizer {
 public:
  // Throws Failure(usage) for values that torch.optim.Adam refuses too.
  FusedAdam(DataParallel& model, AdamOptions options);

 private:
  void update() override;
  void list_numbers(const Moment& moment, std::vector<double>& to) const override;
  void update_by_operators(StepNumbers& numbers) override;
  AdamUpdate update_of(const Stretch& stretch) const;
  // Without eps the padding would become 0 / 0.
  bool merges() const { return options_.eps > 0; }

  AdamOptions options_;
  PieceState &first_, &second_;
};

}  // namespace lockstep
