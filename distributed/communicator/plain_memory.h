// DirectMemory for backends that need no special memory: zeroed and aligned to pages.
#pragma once

#include <atomic>
#include <memory>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// Throws Failure(usage) for a negative size, Failure(environment) when there is no memory.
// in_use: grows by the size as long as the memory is there; null: nobody counts.
using ByteCount = std::shared_ptr<std::atomic<std::int64_t>>;
std::shared_ptr<DirectMemory> allocate_plain_memory(std::int64_t bytes, ByteCount in_use = nullptr);
void check_allocation(std::int64_t bytes);  // the check alone

}  // namespace lockstep
