// DirectMemory for backends that need no special memory: zeroed and aligned to pages.
#pragma once

#include <memory>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

// Throws Failure(usage) for a negative size, Failure(environment) when there is no memory.
std::shared_ptr<DirectMemory> allocate_plain_memory(std::int64_t bytes);
void check_allocation(std::int64_t bytes);  // the check alone

}  // namespace lockstep
