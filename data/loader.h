// Batches of a labelled image data set: permutation, sharding, normalisation, reading ahead.
#pragma once

#include <memory>

#include "lockstep/data/batch.h"
#include "lockstep/data/hdf5_dataset.h"

namespace lockstep {

struct LoaderOptions {
  int rank = 0;
  int world_size = 1;
  std::int64_t global_batch_size = 4;
  std::uint64_t seed = 0;
  bool shuffle = true;  // false: samples in file order, every epoch
  bool drop_last = false;
  bool normalize = true;  // (pixel / 255 - mean) / std per channel; false: pixel / 255, as torchvision's ToTensor
  // Threads that read ahead. -1: one where this rank has a core to spare and its batches hold at least 64 KiB of
  // pixels, else none (batches are made in next()).
  int reader_threads = -1;
  int batches_ahead = 4;
};

// dataset: outlives the loader. Throws Failure(usage) for impossible options (global batch < 1, empty data set).
std::unique_ptr<BatchSource> make_loader(const Hdf5Dataset& dataset, LoaderOptions options);

}  // namespace lockstep
