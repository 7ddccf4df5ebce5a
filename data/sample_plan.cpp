#include "lockstep/data/sample_plan.h"

#include <algorithm>

namespace lockstep {

StepPlan plan_step(std::int64_t sample_count, std::int64_t consumed, std::int64_t global_batch, int rank,
                   int world_size, bool drop_last) {
  const std::int64_t size = std::min(global_batch, sample_count - consumed);
  if (size <= 0 || (drop_last && size < global_batch)) return {};
  const std::int64_t share = size / world_size;
  const std::int64_t larger = size % world_size;  // the first ranks, with one sample more
  StepPlan plan;
  plan.local.first = consumed + rank * share + std::min<std::int64_t>(rank, larger);
  plan.local.count = share + (rank < larger ? 1 : 0);
  plan.global_count = size;
  return plan;
}

std::int64_t steps_per_epoch(std::int64_t sample_count, std::int64_t global_batch, bool drop_last) {
  return drop_last ? sample_count / global_batch : (sample_count + global_batch - 1) / global_batch;
}

}  // namespace lockstep
