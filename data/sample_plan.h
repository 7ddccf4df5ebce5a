// Which samples a rank trains on in one step: pure.
#pragma once

#include <cstdint>

namespace lockstep {

// One global batch is the next `global_batch` positions of the epoch's order; rank r of w takes a contiguous part of
// it, the first (size % w) ranks one sample more. So N ranks see in step k the very samples that one rank sees.
struct SampleRange {
  std::int64_t first = 0;  // positions in the epoch's order, not sample numbers
  std::int64_t count = 0;  // may be 0
};

struct StepPlan {
  SampleRange local;
  std::int64_t global_count = 0;  // samples of all ranks; 0: the epoch is over
};

// consumed: samples of the epoch before this step. drop_last: a step of fewer than global_batch samples is not made.
StepPlan plan_step(std::int64_t sample_count, std::int64_t consumed, std::int64_t global_batch, int rank,
                   int world_size, bool drop_last);

std::int64_t steps_per_epoch(std::int64_t sample_count, std::int64_t global_batch, bool drop_last);

}  // namespace lockstep
