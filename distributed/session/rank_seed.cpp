#include "lockstep/distributed/session/rank_seed.h"

#include <initializer_list>

namespace lockstep {

// SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014) over the three numbers in turn: neighbours get unrelated
// seeds.
std::uint64_t rank_seed(std::uint64_t seed, int rank, std::int64_t step) {
  std::uint64_t x = seed;
  for (const std::uint64_t part : {static_cast<std::uint64_t>(rank), static_cast<std::uint64_t>(step)}) {
    x += part + 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x ^= x >> 31;
  }
  return x;
}

}  // namespace lockstep
