// LAMB: Adam's direction, with the length of each parameter's step set by the parameter's own norm; for large batches.
#pragma once

#include <vector>

#include "lockstep/distributed/optimizer/cell_sums.h"
#include "lockstep/distributed/optimizer/lamb_kernel.h"
#include "lockstep/distributed/optimizer/optimizer.h"

namespace lockstep {

struct LambOptions {
  double learning_rate = 0.001;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-6;
  double weight_decay = 0;     // decoupled, inside the norm
  bool adapts_vectors = true;  // false: biases and scales of norms (one dimension) keep a trust ratio of 1
  std::vector<ParameterGroup> groups = {};
};

// m, v as in Adam;  u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) + weight_decay * p;
// p -= learning_rate * (|p| / |u|) * u, the ratio 1 where a norm is 0.  Source: You et al. 2020 (arXiv 1904.00962),
// algorithm 2 with the identity for phi. Two passes over memory: one with the norms, one to apply.
class Lamb : public Optimizer {
 public:
  Lamb(DataParallel& model, LambOptions options);

 private:
  void update() override;
  template <typename T>
  LambCoefficients<T> coefficients(const Stretch& stretch) const;
  template <typename T>
  void update_moments(const Stretch& stretch);
  void list_numbers(const Moment& moment, std::vector<double>& to) const override;
  void update_by_operators(StepNumbers& numbers) override;
  at::Tensor direction(const Stretch& stretch, StepNumbers& numbers) const;
  double trust_ratio(const Stretch& stretch) const;

  LambOptions options_;
  PieceState &first_, &second_;
  CellSums parameter_squares_, direction_squares_;
  at::Tensor norms_;  // by operators: [parameters, 2], squares of the norms of parameter and direction
};

}  // namespace lockstep
