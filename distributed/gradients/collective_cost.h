// What an all_reduce of gradients costs on a communicator: measured once, and kept for later runs.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <string>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

struct CollectiveCost {
  Link link;           // of one all_reduce, by its bytes
  std::string origin;  // "measured", "cached"
};

// Collective; the same on all ranks. Up to four sizes, none beyond the first that is at least `bytes` (of all
// gradients), as far as `budget_seconds` go. Kept with the links between nodes (communicator/link_cache.h). Nothing for
// one rank, and for buffers that are not on the CPU.
std::optional<CollectiveCost> all_reduce_cost(Communicator& communicator, at::Device device, std::int64_t bytes,
                                              double budget_seconds = 0.03);

}  // namespace lockstep
