// When backward completes which gradient: seen once, on a few samples, before training begins.
#pragma once

#include <c10/core/Device.h>

#include <functional>
#include <string>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"

namespace torch::nn {
class Module;
}

namespace lockstep {

struct BackwardOrder {
  std::vector<int> order = {};       // trainable parameters in the module's order, by number; first completed first
  std::vector<double> seconds = {};  // by position in `order`: since the first of them, whose time is 0; not falling
};

struct BackwardProbe {
  // Rank 0's, on all ranks: the same everywhere, also where ranks differ. Parameters without a gradient come last, in
  // reverse order of registration. Empty where the probe failed.
  BackwardOrder order = {};
  std::string failure = {};  // why there is no order, with the rank that knows; the same on all ranks
};

// Collective; every rank calls `backward` (forward and backward of a few samples) `passes` times, so layers that
// communicate may. The last pass counts: a first one also sets up memory and kernels. On a GPU each gradient's time is
// taken when the GPU has it. Afterwards gradients, buffers of the module and the default random generators are what
// they were.
//
// An exception from `backward` on any rank is the failure of all. layers_communicate: it is thrown on that rank
// instead, since the others wait inside their layers and cannot be told. Throws Failure(usage) as DataParallel does for
// modules that differ, and when a DataParallel owns the module already.
BackwardProbe probe_backward(const torch::nn::Module& module, Communicator& communicator,
                             const std::function<void()>& backward, int passes = 1, bool layers_communicate = false);

}  // namespace lockstep
