// How the gradients of a training travel.
#pragma once

#include <string>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/gradients/data_parallel.h"
#include "lockstep/distributed/session/session.h"
#include "lockstep/distributed/training/train_config.h"
#include "lockstep/distributed/training/train_step.h"

namespace lockstep {

struct ChosenBuckets {
  DataParallelOptions options;
  std::string origin;  // where the plan comes from, for the log; "": from --bucket-mb alone
};

// Collective. With --bucket-mb auto, and without --deterministic, forward and backward run on two samples of the first
// batch; module, random generators and the position of `train` stay as they are.
ChosenBuckets choose_buckets(Session& session, const TrainConfig& config, const torch::nn::Module& module,
                             const Forward& forward, BatchSource& train);

}  // namespace lockstep
