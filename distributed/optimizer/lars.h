// LARS: momentum SGD with a rate for each parameter, set by its own norm and its gradient's; for large batches.
#pragma once

#include <vector>

#include "lockstep/distributed/optimizer/cell_sums.h"
#include "lockstep/distributed/optimizer/optimizer.h"

namespace lockstep {

struct LarsOptions {
  double learning_rate = 0.1;
  double momentum = 0.9;
  double weight_decay = 0;
  bool nesterov = false;             // needs a momentum above 0
  double trust_coefficient = 0.001;  // the paper's eta: what part of its norm a parameter may move by
  bool adapts_vectors = true;        // false: biases and scales of norms (one dimension) keep a rate of 1
  std::vector<ParameterGroup> groups = {};
};

// rate = trust_coefficient * |p| / (|grad| + weight_decay * |p|), 1 where a norm is 0;
// g = rate * (grad + weight_decay * p);  b = g (first time) or momentum * b + g;
// p -= learning_rate * (nesterov ? g + momentum * b : b).  Source: You, Gitman, Ginsburg 2017 (arXiv 1708.03888),
// algorithm 1, with the learning rate outside the momentum as in torch.optim.SGD. Two passes: the norms, the update.
class Lars : public Optimizer {
 public:
  Lars(DataParallel& model, LarsOptions options);

 private:
  void update() override;
  template <typename T>
  void sum_squares(const Stretch& stretch);
  template <typename T>
  void apply(const Stretch& stretch) const;
  void list_numbers(const Moment& moment, std::vector<double>& to) const override;
  void update_by_operators(StepNumbers& numbers) override;
  double rate(const Stretch& stretch) const;

  LarsOptions options_;
  PieceState* momentum_ = nullptr;  // null without momentum
  CellSums parameter_squares_, gradient_squares_;
  at::Tensor norms_;  // by operators: [parameters, 2], squares of the norms of parameter and gradient
};

}  // namespace lockstep
