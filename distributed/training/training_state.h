// The live state of a training, taken into a Checkpoint and put back.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/checkpoint/checkpoint.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/optimizer/stateful.h"
#include "lockstep/distributed/session/rank_seed.h"
#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/loss_meter.h"

namespace lockstep {

// References to what a checkpoint is made of; they outlive it.
struct LiveState {
  Session& session;
  torch::nn::Module& module;
  DataParallel& model;
  std::vector<Stateful*> optimizer;  // it, and what goes with it (averaged weights)
  double learning_rate = 0;
  BatchSource& source;
  LossMeter& meter;
};

// Collective. Copies everything; what belongs to single ranks (random numbers, loss sums) is gathered. Rank 0 returns
// the checkpoint, the others an empty one; step, first_step_samples, first_epoch_steps, identity, config and
// last_train_loss are left to the caller.
Checkpoint capture(LiveState& live);

// Collective: rank 0's checkpoint to all ranks (the files need to be visible to rank 0 alone).
void share(Session& session, Checkpoint& checkpoint);

// On every rank, with the same checkpoint. Throws Failure(usage), nothing changed, when it is of another model or
// optimizer. With another number of ranks the samples go on exactly where they were; random numbers start anew from
// (seed, rank, step) and the sums of the loss window are continued by rank 0.
void apply(const Checkpoint& checkpoint, LiveState& live, std::uint64_t seed, const std::string& origin);

}  // namespace lockstep
