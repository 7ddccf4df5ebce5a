// What a training loop sees of the data.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lockstep {

// Images: input [n, C, H, W] float32, normalised; target [n] int64. Tokens: input and target [n, t] int64, the target
// of a token being the next one. n may be 0 on a rank whose share of a last, uneven global batch is empty. Both live on
// the CPU in memory that the next call of next() may reuse.
struct Batch {
  at::Tensor input;
  at::Tensor target;
  std::int64_t local_count = 0;   // samples of this rank: n
  std::int64_t global_count = 0;  // samples of all ranks in this step
};

// Where a pass over the data stands: enough to go on with any number of ranks.
struct SamplePosition {
  std::int64_t epoch = 0;
  std::int64_t consumed = 0;  // samples of this epoch already trained on, by all ranks
};

class BatchSource {
 public:
  virtual ~BatchSource() = default;

  virtual std::int64_t sample_count() const = 0;  // N, of the whole split
  virtual std::int64_t class_count() const = 0;
  virtual std::int64_t global_batch_size() const = 0;
  // Steps of one epoch: ceil(N / global_batch_size), or floor when uneven last batches are dropped.
  virtual std::int64_t steps_per_epoch() const = 0;

  // Starts or continues an epoch there. `consumed` is a multiple of the global batch size at which it was saved, any
  // value is valid.
  virtual void seek(SamplePosition position) = 0;
  // The position after the batches *returned*, not those read ahead.
  virtual SamplePosition position() const = 0;
  // Fills `batch`; false at the end of the epoch (then call seek({epoch + 1, 0})).
  virtual bool next(Batch& batch) = 0;
};

}  // namespace lockstep
