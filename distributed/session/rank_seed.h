// Random numbers of single ranks.
#pragma once

#include <cstdint>

namespace lockstep {

// A rank's seed for random layers (dropout), different on every rank and after every restart at another world size.
std::uint64_t rank_seed(std::uint64_t seed, int rank, std::int64_t step);

}  // namespace lockstep
