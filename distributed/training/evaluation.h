// How well a model does on the test split, counted by all ranks.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>

#include "lockstep/data/batch.h"
#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/training/train_step.h"

namespace torch::nn {
class Module;
}

namespace lockstep {

struct Evaluation {
  double loss = 0;           // mean cross entropy over all samples
  std::int64_t correct = 0;  // samples whose highest logit is their class; of tokens each counts
  std::int64_t samples = 0;

  double accuracy() const { return samples > 0 ? static_cast<double>(correct) / static_cast<double>(samples) : 0; }
};

// Collective. One pass over `source` (its part of each rank), in eval mode and without gradients; the module's mode
// comes back afterwards. Every rank returns the same values; every sample counts once. pieces: into which a batch is
// cut before it goes through the model, for memory's sake.
Evaluation evaluate(torch::nn::Module& module, const Forward& forward, BatchSource& source, Communicator& communicator,
                    c10::Device device, std::int64_t pieces = 1);

}  // namespace lockstep
