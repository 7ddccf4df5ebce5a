// Batches of token sequences: the windows of a TokenDataset, shuffled and shared out as images are.
#pragma once

#include <memory>

#include "lockstep/data/batch.h"
#include "lockstep/data/loader.h"
#include "lockstep/data/token_dataset.h"

namespace lockstep {

// A sample is a window; samples, positions and batch sizes count windows. Uses of `options`: rank, world_size,
// global_batch_size, seed, shuffle, drop_last; batches are made in next(). dataset: outlives the loader. Throws
// Failure(usage) for impossible options.
std::unique_ptr<BatchSource> make_token_loader(const TokenDataset& dataset, const LoaderOptions& options);

}  // namespace lockstep
