#include "lockstep/data/loader.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "lockstep/data/batch_ring.h"
#include "lockstep/data/normalize.h"
#include "lockstep/data/permutation.h"
#include "lockstep/data/reader_threads.h"
#include "lockstep/data/sample_plan.h"

namespace lockstep {
namespace {

// Of a larger image only the front is fetched ahead; the processor itself follows from there.
constexpr std::int64_t kPrefetchBytes = 4096;

// Memory of one batch. The tensors over its first `count` samples are made once and used again.
struct Buffer {
  at::Tensor input;   // [largest, C, H, W] float32
  at::Tensor target;  // [largest] int64
  Batch batch;        // views of the first local_count samples
};

class Loader final : public BatchSource {
 public:
  Loader(const Hdf5Dataset& dataset, LoaderOptions options)
      : dataset_(dataset),
        options_(options),
        mean_(options.normalize ? dataset.mean() : std::vector<float>(dataset.mean().size(), 0.0F)),
        deviation_(options.normalize ? dataset.std_deviation() : std::vector<float>(dataset.mean().size(), 1.0F)),
        threads_(options.reader_threads >= 0 ? options.reader_threads
                                             : automatic_reader_threads(local_batch() * image_bytes())),
        buffers_(threads_ > 0 ? static_cast<std::size_t>(options.batches_ahead) + 1 : 1),
        ring_(buffers_.size(), threads_, [this](std::int64_t step, std::size_t slot) { fill(step, buffers_[slot]); }) {
    const auto [channels, height, width] = dataset.image_shape();
    for (Buffer& buffer : buffers_) {
      buffer.input = at::empty({local_batch(), channels, height, width}, at::kFloat);
      buffer.target = at::empty({local_batch()}, at::kLong);
      buffer.batch.local_count = -1;
    }
    seek({0, 0});
  }

  std::int64_t sample_count() const override { return dataset_.count(); }
  std::int64_t class_count() const override { return dataset_.class_count(); }
  std::int64_t global_batch_size() const override { return options_.global_batch_size; }
  std::int64_t steps_per_epoch() const override {
    return lockstep::steps_per_epoch(sample_count(), options_.global_batch_size, options_.drop_last);
  }

  void seek(SamplePosition position) override;
  SamplePosition position() const override { return {start_.epoch, std::min(consumed_, sample_count())}; }
  bool next(Batch& batch) override;

 private:
  std::int64_t local_batch() const {  // of the first ranks, which have the most
    return (options_.global_batch_size + options_.world_size - 1) / options_.world_size;
  }
  std::int64_t image_bytes() const {
    const auto [channels, height, width] = dataset_.image_shape();
    return channels * height * width;
  }
  std::int64_t sample_at(std::int64_t position) const {
    return permutation_ ? static_cast<std::int64_t>((*permutation_)(static_cast<std::uint64_t>(position))) : position;
  }
  void fill(std::int64_t step, Buffer& buffer) const;

  const Hdf5Dataset& dataset_;
  const LoaderOptions options_;
  const std::vector<float> mean_, deviation_;
  const int threads_;
  SamplePosition start_;                    // of the last seek
  std::int64_t consumed_ = 0;               // after the batches returned
  std::optional<Permutation> permutation_;  // of start_.epoch; none: file order
  std::vector<Buffer> buffers_;
  BatchRing ring_;  // last: its threads use all of the above
};

void Loader::seek(SamplePosition position) {
  if (position.epoch < 0 || position.consumed < 0 || position.consumed > sample_count()) {
    fail(ErrorKind::usage, "position " + std::to_string(position.consumed) + " of epoch " +
                               std::to_string(position.epoch) + " is outside of a data set of " +
                               std::to_string(sample_count()) + " samples");
  }
  ring_.restart(0);  // the threads are idle while what they read changes
  start_ = position;
  consumed_ = position.consumed;
  permutation_.reset();
  if (options_.shuffle) {
    permutation_.emplace(static_cast<std::uint64_t>(sample_count()), options_.seed,
                         static_cast<std::uint64_t>(position.epoch));
  }
  ring_.restart(
      lockstep::steps_per_epoch(sample_count() - position.consumed, options_.global_batch_size, options_.drop_last));
}

bool Loader::next(Batch& batch) {
  const std::int64_t slot = ring_.take();
  if (slot < 0) return false;
  batch = buffers_[static_cast<std::size_t>(slot)].batch;
  consumed_ += batch.global_count;
  return true;
}

void Loader::fill(std::int64_t step, Buffer& buffer) const {
  const StepPlan plan = plan_step(sample_count(), start_.consumed + step * options_.global_batch_size,
                                  options_.global_batch_size, options_.rank, options_.world_size, options_.drop_last);
  Batch& batch = buffer.batch;
  if (batch.local_count != plan.local.count) {
    batch.local_count = plan.local.count;
    batch.input = buffer.input.narrow(0, 0, plan.local.count);
    batch.target = buffer.target.narrow(0, 0, plan.local.count);
  }
  batch.global_count = plan.global_count;
  float* values = buffer.input.data_ptr<float>();
  std::int64_t* target = buffer.target.data_ptr<std::int64_t>();
  const std::int64_t bytes = image_bytes(), plane = bytes / dataset_.image_shape()[0];
  std::int64_t sample = plan.local.count > 0 ? sample_at(plan.local.first) : 0;
  for (std::int64_t i = 0; i < plan.local.count; ++i) {
    const std::int64_t next_sample = i + 1 < plan.local.count ? sample_at(plan.local.first + i + 1) : sample;
    prefetch_image(dataset_.image(next_sample), std::min(bytes, kPrefetchBytes));
    normalize_image(dataset_.image(sample), plane, mean_, deviation_, values + i * bytes);
    target[i] = dataset_.label(sample);
    sample = next_sample;
  }
}

void check(const Hdf5Dataset& dataset, const LoaderOptions& options) {
  const auto refuse = [](const std::string& what) { fail(ErrorKind::usage, what); };
  if (dataset.count() < 1) refuse("the data set is empty");
  if (options.global_batch_size < 1) {
    refuse("the global batch size is " + std::to_string(options.global_batch_size) + ", expected at least 1");
  }
  if (options.world_size < 1 || options.rank < 0 || options.rank >= options.world_size) {
    refuse("rank " + std::to_string(options.rank) + " is not one of " + std::to_string(options.world_size) + " ranks");
  }
  if (options.reader_threads < -1 || options.batches_ahead < 1) {
    refuse("reader_threads is " + std::to_string(options.reader_threads) + " and batches_ahead " +
           std::to_string(options.batches_ahead) + ", expected at least -1 and 1");
  }
}

}  // namespace

std::unique_ptr<BatchSource> make_loader(const Hdf5Dataset& dataset, LoaderOptions options) {
  check(dataset, options);
  return std::make_unique<Loader>(dataset, options);
}

}  // namespace lockstep
