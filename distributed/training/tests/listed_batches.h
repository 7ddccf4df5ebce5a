// A BatchSource over tensors in memory, in their order: what a loader gives, without files.
#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>

#include "lockstep/data/batch.h"

namespace lockstep::testing {

// Each global batch is cut into contiguous parts, the first ranks one sample more; or as `skewed`: all to the last
// rank.
class ListedBatches : public BatchSource {
 public:
  ListedBatches(at::Tensor inputs, at::Tensor targets, std::int64_t global_batch, int rank, int world_size,
                bool skewed = false)
      : inputs_(std::move(inputs)),
        targets_(std::move(targets)),
        global_batch_(global_batch),
        rank_(rank),
        world_(world_size),
        skewed_(skewed) {}

  std::int64_t sample_count() const override { return inputs_.size(0); }
  std::int64_t class_count() const override { return 3; }
  std::int64_t global_batch_size() const override { return global_batch_; }
  std::int64_t steps_per_epoch() const override { return (sample_count() + global_batch_ - 1) / global_batch_; }
  void seek(SamplePosition position) override { position_ = position; }
  SamplePosition position() const override { return position_; }

  bool next(Batch& batch) override {
    const std::int64_t size = std::min(global_batch_, sample_count() - position_.consumed);
    if (size <= 0) return false;
    std::int64_t first = rank_ * (size / world_) + std::min<std::int64_t>(rank_, size % world_);
    std::int64_t count = size / world_ + (rank_ < size % world_ ? 1 : 0);
    if (skewed_) first = 0, count = rank_ == world_ - 1 ? size : 0;
    batch.input = inputs_.narrow(0, position_.consumed + first, count);
    batch.target = targets_.narrow(0, position_.consumed + first, count);
    batch.local_count = count;
    batch.global_count = size;
    position_.consumed += size;
    return true;
  }

 private:
  at::Tensor inputs_, targets_;
  std::int64_t global_batch_;
  int rank_, world_;
  bool skewed_;
  SamplePosition position_;
};

}  // namespace lockstep::testing
