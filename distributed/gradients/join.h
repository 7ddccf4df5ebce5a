// Training loops in which ranks run out of samples at different times.
#pragma once

#include "lockstep/distributed/gradients/data_parallel.h"

namespace lockstep {

enum class JoinMean {
  of_active_ranks,  // gradients are the mean over the ranks that have a batch
  of_all_ranks,     // over all ranks, those without one counting as zero: DDP's divide_by_initial_world_size
};

// Keeps all ranks in the loop until the last has no batch left. `weight()` is what makes the mean:
//
//   Join join(model);
//   while (join.any(has_batch)) {                     // collective: once per optimizer step
//     model.zero_grad();
//     if (has_batch) (loss_of(batch) * join.weight()).backward();
//     else model.synchronize();                       // takes part with zeros
//     optimizer.step();
//     has_batch = fetch(batch);
//   }
//
// Layers that communicate (SyncBatchNorm) want a forward and backward with an empty batch in place of synchronize().
// Under no_sync() every micro-batch of a step has the step's weight.
class Join {
 public:
  // The model outlives it.
  explicit Join(DataParallel& model, JoinMean mean = JoinMean::of_active_ranks) : model_(model), mean_(mean) {}

  // Collective. Whether any rank has a batch: false ends the loop, on every rank in the same round.
  bool any(bool has_batch);

  // Ranks that had one in this round.
  int active() const { return active_; }

  // What a loss is multiplied by in this round so that DataParallel's mean over all ranks becomes the one chosen:
  // ranks / active(), or 1.
  double weight() const;

 private:
  DataParallel& model_;
  JoinMean mean_;
  int active_ = 0;
};

}  // namespace lockstep
