#include "lockstep/distributed/optimizer/newton_schulz.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>

#include <algorithm>

namespace lockstep {
namespace {

constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315, kEps = 1e-7;
constexpr int kSteps = 5;

}  // namespace

NewtonSchulz::Work& NewtonSchulz::work_for(const at::Tensor& matrix) {
  const auto m = std::min(matrix.size(0), matrix.size(1)), n = std::max(matrix.size(0), matrix.size(1));
  Work& work = work_[{m, n}];
  if (!work.x.defined()) {
    const auto options = matrix.options().dtype(type_);
    work = {at::empty({m, n}, options), at::empty({m, n}, options), at::empty({m, m}, options),
            at::empty({m, m}, options)};
  }
  return work;
}

void NewtonSchulz::operator()(const at::Tensor& matrix) {
  const bool tall = matrix.size(0) > matrix.size(1);  // the products are smaller with the short side first
  Work& work = work_for(matrix);
  work.x.copy_(tall ? matrix.t() : matrix);
  work.x.div_(work.x.norm().clamp_min_(kEps));
  for (int step = 0; step < kSteps; ++step) {
    at::mm_out(work.gram, work.x, work.x.t());
    at::addmm_out(work.update, work.gram, work.gram, work.gram, kB, kC);
    at::addmm_out(work.next, work.x, work.update, work.x, kA, 1);
    std::swap(work.x, work.next);
  }
  matrix.copy_(tall ? work.x.t() : work.x);
}

}  // namespace lockstep
