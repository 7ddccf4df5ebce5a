#include "lockstep/data/token_loader.h"

#include <ATen/ops/empty.h>

#include <optional>

#include "lockstep/data/permutation.h"
#include "lockstep/data/sample_plan.h"

namespace lockstep {
namespace {

class TokenLoader final : public BatchSource {
 public:
  TokenLoader(const TokenDataset& dataset, const LoaderOptions& options)
      : dataset_(dataset),
        options_(options),
        windows_(at::empty(
            {(options.global_batch_size + options.world_size - 1) / options.world_size, dataset.sequence_length() + 1},
            at::kLong)) {
    seek({0, 0});
  }

  std::int64_t sample_count() const override { return dataset_.count(); }
  std::int64_t class_count() const override { return dataset_.vocabulary_size(); }
  std::int64_t global_batch_size() const override { return options_.global_batch_size; }
  std::int64_t steps_per_epoch() const override {
    return lockstep::steps_per_epoch(sample_count(), options_.global_batch_size, options_.drop_last);
  }
  SamplePosition position() const override { return position_; }
  void seek(SamplePosition position) override;
  bool next(Batch& batch) override;

 private:
  const TokenDataset& dataset_;
  const LoaderOptions options_;
  const at::Tensor windows_;  // [largest share, sequence_length + 1]: inputs and targets overlap in it
  SamplePosition position_;
  std::optional<Permutation> permutation_;  // of the epoch; none: file order
};

void TokenLoader::seek(SamplePosition position) {
  if (position.epoch < 0 || position.consumed < 0 || position.consumed > sample_count()) {
    fail(ErrorKind::usage, "position " + std::to_string(position.consumed) + " of epoch " +
                               std::to_string(position.epoch) + " is outside of a data set of " +
                               std::to_string(sample_count()) + " sequences");
  }
  position_ = position;
  permutation_.reset();
  if (options_.shuffle) {
    permutation_.emplace(static_cast<std::uint64_t>(sample_count()), options_.seed,
                         static_cast<std::uint64_t>(position.epoch));
  }
}

bool TokenLoader::next(Batch& batch) {
  const StepPlan plan = plan_step(sample_count(), position_.consumed, options_.global_batch_size, options_.rank,
                                  options_.world_size, options_.drop_last);
  if (plan.global_count == 0) return false;
  const std::int64_t length = dataset_.sequence_length();
  auto* to = windows_.mutable_data_ptr<std::int64_t>();
  for (std::int64_t i = 0; i < plan.local.count; ++i) {
    const auto at = static_cast<std::uint64_t>(plan.local.first + i);
    dataset_.window(static_cast<std::int64_t>(permutation_ ? (*permutation_)(at) : at), to + i * (length + 1));
  }
  const at::Tensor mine = windows_.narrow(0, 0, plan.local.count);
  batch.input = mine.narrow(1, 0, length);
  batch.target = mine.narrow(1, 1, length);
  batch.local_count = plan.local.count;
  batch.global_count = plan.global_count;
  position_.consumed += plan.global_count;
  return true;
}

}  // namespace

std::unique_ptr<BatchSource> make_token_loader(const TokenDataset& dataset, const LoaderOptions& options) {
  if (options.global_batch_size < 1) {
    fail(ErrorKind::usage,
         "the global batch size is " + std::to_string(options.global_batch_size) + ", expected at least 1");
  }
  if (options.world_size < 1 || options.rank < 0 || options.rank >= options.world_size) {
    fail(ErrorKind::usage,
         "rank " + std::to_string(options.rank) + " is not one of " + std::to_string(options.world_size) + " ranks");
  }
  return std::make_unique<TokenLoader>(dataset, options);
}

}  // namespace lockstep
