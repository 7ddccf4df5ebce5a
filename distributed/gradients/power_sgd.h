// Gradients as products of two thin matrices: far fewer bytes on slow networks.
#pragma once

#include "lockstep/distributed/gradients/bucket_reduction.h"

namespace lockstep {

struct PowerSgdOptions {
  std::int64_t rank = 4;          // columns of the thin matrices
  std::int64_t plain_steps = 10;  // in the beginning, when gradients change quickly, they travel whole
  std::uint64_t seed = 0;         // of the first Q; the same on all ranks
};

// Per matrix M [n, m] of gradients plus what was lost before: P = mean of M Q over the ranks, made orthonormal;
// Q = mean of M^T P; all ranks take P Q^T for the mean, and each keeps M - P Q^T for its next M (error feedback). Q is
// the next step's first guess. Source: Vogels, Karimireddy, Jaggi 2019 (arXiv 1905.13727), algorithms 1 and 2. Vectors,
// and matrices that would not become smaller, travel whole.
//
// The memory of this rank's errors is as large as the gradients and is not saved in checkpoints: after a resume it
// starts at zero, which loses what one step had not yet sent. Ranks multiply out P Q^T for themselves: they need
// processors of one kind to get equal bits.
//
// Throws Failure(usage) for a rank below 1 or a negative number of plain steps.
MakeReduction reduce_by_power_sgd(PowerSgdOptions options);

}  // namespace lockstep
