// Whether reading ahead on a thread of its own pays.
#pragma once

#include <cstdint>

namespace lockstep {

// Threads for a rank that needs `batch_bytes` bytes of pixels per step: 1 when this rank has a core beside the one it
// computes on and the batch is worth a thread's wake-up, else 0.
int automatic_reader_threads(std::int64_t batch_bytes);

// The rule itself. rank_cores: cores this process may run on; machine_cores: cores of the machine; local_ranks: ranks
// on it. A process bound to fewer cores than the machine has owns those; an unbound one shares all of them with its
// neighbours.
int plan_reader_threads(std::int64_t batch_bytes, int rank_cores, int machine_cores, int local_ranks);

}  // namespace lockstep
