// The nearest orthogonal matrix, nearly: five steps of a Newton-Schulz iteration.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <utility>

namespace lockstep {

// X = M / |M|; then five times A = X X^T, X = a X + (b A + c A A) X with (a, b, c) = (3.4445, -4.7750, 2.0315). The
// singular values end between about 0.7 and 1.2, which is all that Muon needs. Source: K. Jordan et al., Muon, 2024
// (kellerjordan.github.io/posts/muon). Keeps its working memory: matrices of a shape seen before cost no new one.
class NewtonSchulz {
 public:
  // type: in which it computes; bfloat16 as its authors and torch.optim.Muon do, or a wider one.
  explicit NewtonSchulz(at::ScalarType type) : type_(type) {}

  // matrix: [rows, columns], any floating type; replaced by the result.
  void operator()(const at::Tensor& matrix);

 private:
  struct Work {
    at::Tensor x, next, gram, update;  // [m, n] twice, [m, m] twice, m <= n
  };
  Work& work_for(const at::Tensor& matrix);

  at::ScalarType type_;
  std::map<std::pair<std::int64_t, std::int64_t>, Work> work_;  // by (m, n)
};

}  // namespace lockstep
