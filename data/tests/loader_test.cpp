#include "lockstep/data/loader.h"

#include <gtest/gtest.h>

#include <set>

#include "lockstep/core/tests/temporary_directory.h"
#include "lockstep/data/permutation.h"
#include "lockstep/data/tests/small_dataset.h"

namespace lockstep {
namespace {

using testing::SmallDataset;

// The parameter: reader_threads.
class LoaderWith : public ::testing::TestWithParam<int> {
 protected:
  LoaderWith() {
    small_.write(folder_ / "small.h5");
    dataset_ = std::make_unique<Hdf5Dataset>(Hdf5Dataset::open(folder_ / "small.h5", "train").value());
  }
  std::unique_ptr<BatchSource> loader(LoaderOptions options) const {
    options.reader_threads = GetParam();
    return make_loader(*dataset_, options);
  }
  // The sample number behind row `row`, by its exact pixels; checks the label on the way.
  std::int64_t sample_of(const Batch& batch, std::int64_t row) const {
    const float* values = batch.input.data_ptr<float>() + row * 30;
    for (std::int64_t sample = 0; sample < small_.train_count; ++sample) {
      bool same = true;
      for (std::int64_t at = 0; same && at < 30; ++at)
        same = values[at] == static_cast<float>(testing::small_pixel(sample, at)) / 255.0F;
      if (!same) continue;
      EXPECT_EQ(batch.target.data_ptr<std::int64_t>()[row], testing::small_label(sample, 7));
      return sample;
    }
    ADD_FAILURE() << "no sample has these pixels";
    return -1;
  }
  std::vector<std::int64_t> rest_of_epoch(BatchSource& source) const {
    std::vector<std::int64_t> samples;
    Batch batch;
    while (source.next(batch)) {
      for (std::int64_t row = 0; row < batch.local_count; ++row) samples.push_back(sample_of(batch, row));
    }
    return samples;
  }

  TemporaryDirectory folder_;
  SmallDataset small_;
  std::unique_ptr<Hdf5Dataset> dataset_;
};

TEST_P(LoaderWith, NormalizesAsPyTorchDoes) {
  const auto source = loader({.global_batch_size = 5, .shuffle = false});
  Batch batch;
  ASSERT_TRUE(source->next(batch));
  EXPECT_EQ(batch.input.sizes(), (at::IntArrayRef{5, 2, 3, 5}));
  EXPECT_EQ(batch.input.scalar_type(), at::kFloat);
  EXPECT_EQ(batch.target.scalar_type(), at::kLong);
  for (std::int64_t sample = 0; sample < 5; ++sample) {
    for (std::int64_t at = 0; at < 30; ++at) {
      const auto channel = static_cast<std::size_t>(at / 15);
      const volatile float scaled = static_cast<float>(testing::small_pixel(sample, at)) / 255.0F;
      const volatile float centred = scaled - dataset_->mean()[channel];
      EXPECT_EQ(batch.input.data_ptr<float>()[sample * 30 + at], centred / dataset_->std_deviation()[channel]);
    }
  }
}

TEST_P(LoaderWith, FollowsThePermutationOfEachEpoch) {
  const auto source = loader({.global_batch_size = 4, .seed = 9, .normalize = false});
  EXPECT_EQ(source->steps_per_epoch(), 6);
  for (std::int64_t epoch : {0, 1, 5}) {
    source->seek({epoch, 0});
    const Permutation order(23, 9, static_cast<std::uint64_t>(epoch));
    const auto samples = rest_of_epoch(*source);
    ASSERT_EQ(samples.size(), 23U);
    for (std::size_t i = 0; i < samples.size(); ++i) EXPECT_EQ(samples[i], static_cast<std::int64_t>(order(i)));
  }
}

TEST_P(LoaderWith, RanksTogetherSeeWhatOneRankSees) {
  for (const int world : {2, 3, 4, 30}) {
    const auto alone = loader({.global_batch_size = 10, .seed = 3, .normalize = false});
    std::vector<std::unique_ptr<BatchSource>> ranks;
    for (int rank = 0; rank < world; ++rank) {
      ranks.push_back(
          loader({.rank = rank, .world_size = world, .global_batch_size = 10, .seed = 3, .normalize = false}));
    }
    Batch whole, part;
    while (alone->next(whole)) {
      std::int64_t row = 0;
      for (const auto& rank : ranks) {
        ASSERT_TRUE(rank->next(part));
        EXPECT_EQ(part.global_count, whole.local_count);
        EXPECT_EQ(part.input.size(0), part.local_count);
        EXPECT_EQ(part.target.size(0), part.local_count);
        for (std::int64_t i = 0; i < part.local_count; ++i) EXPECT_EQ(sample_of(part, i), sample_of(whole, row++));
      }
      EXPECT_EQ(row, whole.local_count);
    }
    for (const auto& rank : ranks) EXPECT_FALSE(rank->next(part));
  }
}

TEST_P(LoaderWith, GoesOnExactlyWhereItsPositionSays) {
  const LoaderOptions options{.global_batch_size = 4, .seed = 1, .normalize = false};
  const auto whole = loader(options);
  const auto expected = rest_of_epoch(*whole);
  EXPECT_EQ(whole->position().consumed, 23);
  for (int steps = 0; steps <= 6; ++steps) {
    const auto first = loader(options);
    std::vector<std::int64_t> samples;
    Batch batch;
    for (int step = 0; step < steps; ++step) {
      ASSERT_TRUE(first->next(batch));
      for (std::int64_t row = 0; row < batch.local_count; ++row) samples.push_back(sample_of(batch, row));
    }
    const SamplePosition position = first->position();  // although more has been read ahead
    EXPECT_EQ(position.consumed, std::min(4 * steps, 23));
    const auto second = loader({.global_batch_size = 7, .seed = 1, .normalize = false});
    second->seek(position);
    const auto rest = rest_of_epoch(*second);
    samples.insert(samples.end(), rest.begin(), rest.end());
    EXPECT_EQ(samples, expected);
  }
}

TEST_P(LoaderWith, ThePositionCountsTheSamplesOfAllRanks) {
  for (int rank = 0; rank < 3; ++rank) {
    const auto source = loader({.rank = rank, .world_size = 3, .global_batch_size = 8});
    Batch batch;
    for (const std::int64_t consumed : {8, 16, 23}) {
      ASSERT_TRUE(source->next(batch));
      EXPECT_EQ(source->position().consumed, consumed);
    }
    EXPECT_FALSE(source->next(batch));
    EXPECT_EQ(source->position().consumed, 23);
    EXPECT_EQ(source->position().epoch, 0);
  }
}

TEST_P(LoaderWith, DropLastLeavesTheUnevenBatchOut) {
  const auto source = loader({.global_batch_size = 10, .drop_last = true, .normalize = false});
  EXPECT_EQ(source->steps_per_epoch(), 2);
  EXPECT_EQ(rest_of_epoch(*source).size(), 20U);
  EXPECT_EQ(source->position().consumed, 20);
  const auto none = loader({.global_batch_size = 24, .drop_last = true, .normalize = false});
  EXPECT_TRUE(rest_of_epoch(*none).empty());
}

TEST_P(LoaderWith, TheBatchInHandStaysUntilTheNext) {
  const auto source = loader({.global_batch_size = 2, .shuffle = false, .normalize = false});
  Batch batch;
  for (std::int64_t first = 0; first < 20; first += 2) {
    ASSERT_TRUE(source->next(batch));
    for (int look = 0; look < 20; ++look) ASSERT_EQ(sample_of(batch, 0), first);
  }
}

// Steady state: the memory of the batches is that of the first ones.
TEST_P(LoaderWith, ReusesItsMemory) {
  const auto source = loader({.global_batch_size = 4});
  std::set<const void*> places;
  Batch batch;
  for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
    source->seek({epoch, 0});
    while (source->next(batch)) places.insert(batch.input.data_ptr());
  }
  EXPECT_LE(places.size(), 5U);
}

TEST_P(LoaderWith, RefusesImpossibleOptionsAndPositions) {
  EXPECT_THROW(loader({.global_batch_size = 0}), Failure);
  EXPECT_THROW(loader({.rank = 2, .world_size = 2}), Failure);
  EXPECT_THROW(loader({.batches_ahead = 0}), Failure);
  const auto source = loader({});
  EXPECT_THROW(source->seek({0, 24}), Failure);
  EXPECT_THROW(source->seek({-1, 0}), Failure);
}

INSTANTIATE_TEST_SUITE_P(ReaderThreads, LoaderWith, ::testing::Values(0, 1, 2, -1));

}  // namespace
}  // namespace lockstep
