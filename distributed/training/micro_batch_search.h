// How small the pieces of a batch must be to fit into memory: tried out in the first step, by all ranks together.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// The bytes that could not be had (0: not known) where this exception says that memory was short; else nothing:
// c10::OutOfMemoryError, std::bad_alloc, and what LibTorch's allocator on the CPU and oneDNN throw.
std::optional<std::int64_t> bytes_missing(const std::exception& e);

struct MicroBatchSearch {
  Communicator& communicator;
  c10::Device device;
  std::int64_t local_count = 0;                      // samples of this rank in the batch
  std::function<void()> restore = {};                // what an attempt has changed, back to what it was
  std::function<void(const std::string&)> say = {};  // a line for the user, the same on every rank
};

// Collective. attempt(pieces): forward and backward of this rank's samples, cut into that many pieces, which must not
// communicate. pieces doubles, after restore(), until the attempt has fitted on all ranks; returned. Throws
// AgreedFailure(environment) when one sample at a time does not fit on some rank, and rethrows what is not a lack of
// memory.
std::int64_t find_pieces(const MicroBatchSearch& search, std::int64_t pieces,
                         const std::function<void(std::int64_t pieces)>& attempt);

}  // namespace lockstep
