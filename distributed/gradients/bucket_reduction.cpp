#include "lockstep/distributed/gradients/bucket_reduction.h"

#include <ATen/ops/from_blob.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/flat_buffers.h"
#include "lockstep/distributed/gradients/module_tensors.h"

namespace lockstep {
namespace {

class PlainReduction : public BucketReduction {
 public:
  explicit PlainReduction(const ReductionInput& input) : input_(input), works_(input.plan.buckets.size()) {}

  void start(std::size_t bucket) override {
    const auto& [offset, count, slots] = input_.plan.buckets[bucket];
    const Buffer all = input_.buffer(offset, count);
    if (input_.plan.shards == 1) {
      works_[bucket] = input_.communicator.all_reduce(all, ReduceOp::average);
      return;
    }
    const auto mine = shard_of(input_.plan, input_.plan.buckets[bucket], input_.communicator.rank());
    works_[bucket] = input_.communicator.reduce_scatter(all, input_.buffer(mine.offset, mine.count), ReduceOp::average);
  }

  bool finish(std::size_t bucket) override {
    works_[bucket].wait();
    works_[bucket] = {};
    return true;
  }

  void abandon() override {
    for (auto& work : works_) work = {};
  }

  std::int64_t bytes() const override { return static_cast<std::int64_t>(input_.gradients.nbytes()); }

 protected:
  const ReductionInput& input() const { return input_; }

 private:
  const ReductionInput input_;
  std::vector<Work> works_;  // per bucket
};

// A narrow copy of the gradients travels.
class NarrowReduction : public BucketReduction {
 public:
  NarrowReduction(const ReductionInput& input, at::ScalarType type)
      : wide_(input.gradients.detach()),
        wire_(flat_tensor(input.communicator, input.plan.total_count, input.gradients.options().dtype(type))),
        plan_(input.plan),
        rank_(input.communicator.rank()),
        plain_({input.plan, input.parameters, input.tensors, wire_, input.communicator}) {}

  void start(std::size_t bucket) override {
    const auto& [offset, count, slots] = plan_.buckets[bucket];
    wire_.narrow(0, offset, count).copy_(wide_.narrow(0, offset, count));
    plain_.start(bucket);
  }

  bool finish(std::size_t bucket) override {
    plain_.finish(bucket);
    const auto [offset, count] = shard_of(plan_, plan_.buckets[bucket], plan_.shards > 1 ? rank_ : 0);
    wide_.narrow(0, offset, count).copy_(wire_.narrow(0, offset, count));
    return true;
  }

  void abandon() override { plain_.abandon(); }
  std::int64_t bytes() const override { return plain_.bytes(); }

 private:
  at::Tensor wide_, wire_;
  const BucketPlan& plan_;
  const int rank_;
  PlainReduction plain_;
};

}  // namespace

Buffer ReductionInput::buffer(std::int64_t offset, std::int64_t count) const {
  auto* const data = static_cast<char*>(gradients.data_ptr());
  return {data + offset * gradients.element_size(), count, data_type(gradients.scalar_type())};
}

std::unique_ptr<BucketReduction> reduce_plainly(const ReductionInput& input) {
  return std::make_unique<PlainReduction>(input);
}

MakeReduction reduce_in_16_bits(at::ScalarType type) {
  if (type != at::kBFloat16 && type != at::kHalf)
    fail(ErrorKind::usage, std::string("gradients cannot travel as ") + c10::toString(type), "bfloat16 or float16");
  return [type](const ReductionInput& input) -> std::unique_ptr<BucketReduction> {
    if (input.gradients.element_size() == 2) return reduce_plainly(input);
    return std::make_unique<NarrowReduction>(input, type);
  };
}

}  // namespace lockstep
