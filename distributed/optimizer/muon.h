// Muon: momentum whose matrices are made orthogonal before they are applied; AdamW for all that is no matrix.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/distributed/optimizer/newton_schulz.h"
#include "lockstep/distributed/optimizer/optimizer.h"

namespace lockstep {

// How long the step of an orthogonal [rows, columns] matrix is. The first makes its mean square that of AdamW's step,
// so that learning rate and decay found with AdamW can be kept (Liu et al. 2025, arXiv 2502.16982).
enum class MuonScale {
  match_adamw,  // 0.2 * sqrt(max(rows, columns))
  original      // sqrt(max(1, rows / columns)), as its authors have it
};

struct MuonOptions {
  double learning_rate = 0.001;
  double momentum = 0.95;
  bool nesterov = true;
  double weight_decay = 0;  // decoupled
  MuonScale scale = MuonScale::match_adamw;
  // What the products are computed in; left out: float32 on the CPU (float64 for such a model), bfloat16 elsewhere.
  std::optional<at::ScalarType> matrix_type = {};
  // Matrices that AdamW updates all the same, as patterns of names: embeddings, the last layer.
  std::vector<std::string> adamw_parameters = {};
  double adamw_factor = 1;  // AdamW's learning rate, as part of the learning rate
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  std::vector<ParameterGroup> groups = {};
};

// b = momentum * b + (1 - momentum) * g;  u = nesterov ? momentum * b + (1 - momentum) * g : b;
// p = p * (1 - learning_rate * weight_decay) - learning_rate * scale * orthogonal(u).
// Source: K. Jordan et al. 2024 and torch/optim/_muon.py. Parameters of two dimensions and more are matrices, those of
// convolutions [out channels, all the rest]. State of a matrix is one value per value, AdamW's is two. Every rank
// computes all products, in a sharded model those of the matrices of which a part lies in its shard.
class Muon : public Optimizer {
 public:
  // Throws Failure(usage) for a pattern of adamw_parameters that no matrix matches.
  Muon(DataParallel& model, MuonOptions options);

 private:
  void choose_matrices();
  void update() override;
  void list_numbers(const Moment& moment, std::vector<double>& to) const override;
  void update_by_operators(StepNumbers& numbers) override;
  // f(stretch, the orthogonal directions of its whole matrix) for all matrices.
  template <typename Function>
  void for_each_matrix(const Function& f);
  void write_directions(const Stretch& stretch, const at::Tensor& to);
  // What the parameters of a matrix, and its directions, are multiplied by.
  std::pair<double, double> factors(const Stretch& stretch) const;
  at::Tensor directions_of(const Stretch& stretch) const;
  AdamUpdate update_of_rest(const Stretch& stretch) const;
  // Without eps the padding would become 0 / 0.
  bool merges() const { return options_.eps > 0; }

  MuonOptions options_;
  PieceState *momentum_ = nullptr, *first_ = nullptr, *second_ = nullptr;
  NewtonSchulz orthogonalize_;
  at::Tensor directions_;             // as large as the largest matrix
  at::Tensor all_directions_;         // of a sharded model: flat, as the parameters
  std::vector<ParameterSlot> whole_;  // per parameter
};

}  // namespace lockstep
