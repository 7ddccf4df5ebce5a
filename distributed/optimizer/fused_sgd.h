// SGD over the flat buffers of a DataParallel: one pass over memory, torch.optim.SGD's exact semantics.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "lockstep/distributed/gradients/data_parallel.h"

namespace lockstep {

struct SgdOptions {
  double learning_rate = 0.001;
  double momentum = 0;
  double dampening = 0;
  double weight_decay = 0;  // added to the gradient (L2), as in torch.optim.SGD
  bool nesterov = false;    // needs momentum > 0 and dampening == 0
};

// g = grad + weight_decay * p;  b = g (first time) or momentum * b + (1 - dampening) * g;
// p -= learning_rate * (nesterov ? g + momentum * b : b).  Source: torch/optim/sgd.py.
// A parameter without a gradient on any rank is skipped: its value and momentum stay as they are.
class FusedSgd {
 public:
  // Throws Failure(usage) for values that torch.optim.SGD refuses too.
  FusedSgd(DataParallel& model, SgdOptions options);

  void step();

  double learning_rate() const { return options_.learning_rate; }
  void set_learning_rate(double value) { options_.learning_rate = value; }
  const SgdOptions& options() const { return options_; }

  // For checkpoints: named tensors that are views into the state ("momentum.conv1.weight", shaped as the parameter),
  // and whether each parameter has had its first step. Loading: copy into the views, then set_started().
  std::vector<std::pair<std::string, at::Tensor>> state();
  const std::vector<bool>& started() const { return started_; }
  void set_started(std::vector<bool> started);

 private:
  DataParallel& model_;
  SgdOptions options_;
  at::Tensor momentum_;        // flat, undefined without momentum
  std::vector<bool> started_;  // per parameter: momentum holds a value
};

}  // namespace lockstep
