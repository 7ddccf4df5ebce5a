#include "lockstep/distributed/gradients/power_sgd.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>

#include "lockstep/core/error.h"
#include "lockstep/distributed/gradients/flat_buffers.h"
#include "lockstep/distributed/gradients/module_tensors.h"

namespace lockstep {
namespace {

// Modified Gram-Schmidt over the columns of p [n, r]. A column that depends on those before it becomes nearly zero and
// is left so.
void make_orthonormal(const at::Tensor& p) {
  constexpr double eps = 1e-8;
  for (std::int64_t i = 0; i < p.size(1); ++i) {
    const auto column = p.narrow(1, i, 1);
    column.div_(column.norm().add_(eps));
    if (i + 1 == p.size(1)) return;
    const auto rest = p.narrow(1, i + 1, p.size(1) - i - 1);
    rest.sub_(at::mm(column, at::mm(column.t(), rest)));
  }
}

class PowerSgd : public BucketReduction {
 public:
  PowerSgd(const ReductionInput& input, const PowerSgdOptions& options)
      : input_(input),
        plain_(reduce_plainly(input)),
        errors_(at::zeros_like(input.gradients)),
        plain_steps_left_(options.plain_steps),
        buckets_(input.plan.buckets.size()) {
    for (std::size_t i = 0; i < buckets_.size(); ++i) plan_bucket(i, options);
  }

  void start(std::size_t index) override {
    if (index == 0 && plain_steps_left_ >= 0) --plain_steps_left_;
    if (is_plain()) return plain_->start(index);
    auto& bucket = buckets_[index];
    for (auto& [matrix, error, p, q] : bucket.matrices) {
      matrix.add_(error);
      at::mm_out(p, matrix, q);
    }
    for (auto& [values, message] : bucket.whole) message.copy_(values);
    bucket.round = 0;
    bucket.work = reduce(bucket.first);
  }

  bool finish(std::size_t index) override {
    if (is_plain()) return plain_->finish(index);
    auto& bucket = buckets_[index];
    bucket.work.wait();
    bucket.work = {};
    if (bucket.round++ == 0) {
      for (auto& [values, message] : bucket.whole) values.copy_(message);
      if (bucket.matrices.empty()) return true;
      for (auto& [matrix, error, p, q] : bucket.matrices) {
        make_orthonormal(p);
        at::mm_out(q, matrix.t(), p);
      }
      bucket.work = reduce(bucket.second);
      return false;
    }
    for (auto& [matrix, error, p, q] : bucket.matrices) {
      error.copy_(matrix);
      at::mm_out(matrix, p, q.t());
      error.sub_(matrix);
    }
    return true;
  }

  void abandon() override {
    plain_->abandon();
    for (auto& bucket : buckets_) bucket.work = {};
  }

  std::int64_t bytes() const override {
    if (is_plain()) return plain_->bytes();
    std::int64_t bytes = 0;
    for (const auto& bucket : buckets_)
      bytes += static_cast<std::int64_t>(bucket.first.nbytes() + bucket.second.nbytes());
    return bytes;
  }

 private:
  struct Matrix {
    at::Tensor values, error;  // [n, m], in the flat gradients and in errors_
    at::Tensor p, q;           // [n, r] in `first`, [m, r] in `second`
  };
  struct Whole {
    at::Tensor values, message;  // in the flat gradients and in `first`
  };
  struct PlannedBucket {
    at::Tensor first, second;  // the messages
    std::vector<Matrix> matrices;
    std::vector<Whole> whole;
    Work work;
    int round = 0;
  };

  bool is_plain() const { return plain_steps_left_ >= 0; }

  Work reduce(const at::Tensor& message) {
    return input_.communicator.all_reduce({message.data_ptr(), message.numel(), data_type(message.scalar_type())},
                                          ReduceOp::average);
  }

  // Its rows are one behind the other in memory, in whatever order the rest is.
  static bool has_rows(const at::Tensor& t) {
    return t.dim() >= 2 && t.numel() > 0 && t.stride(0) * t.size(0) == t.numel();
  }

  void plan_bucket(std::size_t index, const PowerSgdOptions& options) {
    const auto& slots = input_.plan.buckets[index].slots;
    const auto compressed = [&](const ParameterSlot& slot) {
      const auto& tensor = input_.tensors[static_cast<std::size_t>(slot.parameter)];
      if (!has_rows(tensor)) return false;
      const auto n = tensor.size(0), m = slot.count / n;
      return (n + m) * options.rank < n * m;
    };
    std::int64_t first = 0, second = 0;
    for (const auto& slot : slots) {
      const auto n = input_.tensors[static_cast<std::size_t>(slot.parameter)].dim() > 0
                         ? input_.tensors[static_cast<std::size_t>(slot.parameter)].size(0)
                         : 1;
      first += compressed(slot) ? n * options.rank : slot.count;
      second += compressed(slot) ? slot.count / n * options.rank : 0;
    }
    auto& bucket = buckets_[index];
    bucket.first = flat_tensor(input_.communicator, first, input_.gradients.options());
    bucket.second = flat_tensor(input_.communicator, second, input_.gradients.options());
    first = second = 0;
    for (const auto& slot : slots) {
      const auto values = input_.gradients.narrow(0, slot.offset, slot.count);
      if (!compressed(slot)) {
        bucket.whole.push_back({values, bucket.first.narrow(0, first, slot.count)});
        first += slot.count;
        continue;
      }
      const auto n = input_.tensors[static_cast<std::size_t>(slot.parameter)].size(0), m = slot.count / n;
      Matrix matrix{values.view({n, m}), errors_.narrow(0, slot.offset, slot.count).view({n, m}),
                    bucket.first.narrow(0, first, n * options.rank).view({n, options.rank}),
                    bucket.second.narrow(0, second, m * options.rank).view({m, options.rank})};
      auto generator =
          at::make_generator<at::CPUGeneratorImpl>(options.seed + static_cast<std::uint64_t>(slot.parameter));
      matrix.q.copy_(at::randn({m, options.rank}, generator, at::TensorOptions(at::kFloat)));
      first += n * options.rank;
      second += m * options.rank;
      bucket.matrices.push_back(std::move(matrix));
    }
  }

  const ReductionInput input_;
  std::unique_ptr<BucketReduction> plain_;
  at::Tensor errors_;  // flat
  std::int64_t plain_steps_left_;
  std::vector<PlannedBucket> buckets_;
};

}  // namespace

MakeReduction reduce_by_power_sgd(PowerSgdOptions options) {
  if (options.rank < 1)
    fail(ErrorKind::usage, "the rank of PowerSGD is " + std::to_string(options.rank) + ", it must be at least 1");
  if (options.plain_steps < 0)
    fail(ErrorKind::usage,
         "the plain steps of PowerSGD are " + std::to_string(options.plain_steps) + ", they must be at least 0");
  return [options](const ReductionInput& input) -> std::unique_ptr<BucketReduction> {
    const c10::AutoGradMode no_graph(false);
    return std::make_unique<PowerSgd>(input, options);
  };
}

}  // namespace lockstep
