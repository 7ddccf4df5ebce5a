// SGD over the flat buffers of a DataParallel: one pass over memory, torch.optim.SGD's exact semantics.
#pragma once

#include <vector>

#include "lockstep/distributed/optimizer/optimizer.h"

namespace lockstep {

struct SgdOptions {
  double learning_rate = 0.001;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  // added to the gradient (L2), as in torch.optim.SGD
  bool nesterov = false;    // needs momentum > 0 and dampening == 0
  std::vector<ParameterGroup> groups = {};
};

// g = grad + weight_decay * p;  b = g (first time) or momentum * b + (1 - dampening) * g;
// p -= learning_rate * (nesterov ? g + momentum * b : b).  Source: torch/optim/sgd.py.
// Operations, order and rounding are those of torch.optim.SGD (foreach and fused off): equal bits for float and double
// on the CPU. On other devices torch's fused SGD makes the pass, with its own roundings; float64 by plain operators.
class FusedSgd : public Optimizer {
 public:
  // Throws Failure(usage) for values that torch.optim.SGD refuses too.
  FusedSgd(DataParallel& model, SgdOptions options);

 private:
  void update() override;
  void list_numbers(const Moment& moment, std::vector<double>& to) const override;
  void update_by_operators(StepNumbers& numbers) override;
  template <typename T>
  void update_in_one_pass(const Stretch& stretch) const;
  void update_by_plain_operators(const Stretch& stretch, const at::Tensor& learning_rate) const;

  SgdOptions options_;
  PieceState* momentum_ = nullptr;  // null without momentum
};

}  // namespace lockstep
