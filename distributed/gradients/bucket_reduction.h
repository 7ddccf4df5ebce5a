// How gradients that are complete on this rank become the mean over all ranks: the seam for sharding and compression.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "lockstep/distributed/communicator/communicator.h"
#include "lockstep/distributed/gradients/bucket_plan.h"

namespace lockstep {

// What a reduction works on; all of it outlives the reduction.
struct ReductionInput {
  const BucketPlan& plan;
  const std::vector<ParameterInfo>& parameters;
  const std::vector<at::Tensor>& tensors;  // the parameters, for their shapes
  at::Tensor gradients;                    // flat, [plan.total_count], on the parameters' device
  Communicator& communicator;              // of at least two ranks

  // The collective's view of a part of `gradients`.
  Buffer buffer(std::int64_t offset, std::int64_t count) const;
};

// One object per DataParallel. Every rank makes the same calls in the same order, so collectives match if each call
// starts the same ones everywhere. Derive from it for a compression of your own (as DDP's communication hooks), and
// hand a function that makes it to DataParallelOptions::reduction.
class BucketReduction {
 public:
  virtual ~BucketReduction() = default;

  // The bucket's gradients are complete on this rank, the summands of the mean. Starts its first collective and returns
  // without waiting: backward goes on. In plan order, each bucket once per synchronisation.
  virtual void start(std::size_t bucket) = 0;

  // After all buckets have started: waits for the collective that this bucket has under way. Then either the gradients
  // in the flat buffer are the mean over all ranks, with equal bits on all of them (in a plan of several shards at
  // least in this rank's shard): true. Or it has started its next collective and will be asked again, after all other
  // buckets were asked: false.
  virtual bool finish(std::size_t bucket) = 0;

  // Drops what is under way; a backward ended in an exception.
  virtual void abandon() = 0;

  // Handed to collectives in one synchronisation of everything.
  virtual std::int64_t bytes() const = 0;
};

using MakeReduction = std::function<std::unique_ptr<BucketReduction>(const ReductionInput&)>;

// all_reduce; in a plan of several shards reduce_scatter, so that each rank gets the mean of its shard alone.
std::unique_ptr<BucketReduction> reduce_plainly(const ReductionInput& input);

// The same in 16 bits: half the bytes. type: at::kBFloat16 or at::kHalf (beyond 65,504 infinite: use a loss scale that
// keeps gradients below). Each rank's gradient is rounded once on its way out and the mean once on its way back;
// communicators add in float32. Gradients that are 16 bits wide already travel as they are.
MakeReduction reduce_in_16_bits(at::ScalarType type);

}  // namespace lockstep
