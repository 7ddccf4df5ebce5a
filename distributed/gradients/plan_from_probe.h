// Buckets from what communication costs here and the order in which this module's backward makes its gradients.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/gradients/bucket_plan.h"

namespace torch::nn {
class Module;
}

namespace lockstep {

struct ProbeOptions {
  // Forward and backward of a few samples in the module's mode, as a training step would do them (two samples, so that
  // batch normalisation works). Called on every rank, once or twice.
  std::function<void()> backward;
  // Samples of a real step over those of `backward`: times grow with them. What each kernel costs whatever the batch is
  // scaled too, so small batches count as slower than they are.
  double time_factor = 1;
  bool layers_communicate = false;  // as SyncBatchNorm does: an exception from `backward` is then thrown
  std::int64_t bucket_bytes = std::int64_t{25} << 20;  // limit of a bucket
  double measure_seconds = 0.03;                       // for what an all_reduce costs; 0: only the order
};

struct ProbedBuckets {
  BucketLayout layout;  // for DataParallelOptions::layout; empty where the probe failed: buckets by size
  std::string origin;   // for the log: "planned from 12 us + 0.08 ms/MB (measured) and the order of the first backward"
};

// Collective, before DataParallel is made:
//
//   const auto probed = plan_from_probe(module, communicator, {.backward = [&] { loss_of_two_samples().backward(); }});
//   DataParallel model(module, communicator, {.layout = probed.layout});
//
// The same layout on all ranks. Where the cost is not known (GPUs) gradients are in their order, in buckets by size.
// The module, its gradients and the random generators stay as they are (backward_probe.h says what is thrown). One
// rank: nothing is done. The result depends on a measurement: where the communicator's sums do too (the backends mpi
// and nccl; communicator/README.md, "Equal bits"), the last bits of a training may differ between two runs.
ProbedBuckets plan_from_probe(const torch::nn::Module& module, Communicator& communicator, const ProbeOptions& options);

}  // namespace lockstep
