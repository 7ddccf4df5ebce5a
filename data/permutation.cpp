#include "lockstep/data/permutation.h"

namespace lockstep {
namespace {

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): its increment and its output function.
constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;

constexpr std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

constexpr unsigned kFewestHalfBits = 4;
constexpr unsigned kMostHalfBits = 32;

}  // namespace

Permutation::Permutation(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch)
    : count_(count), half_bits_(kFewestHalfBits), keys_{} {
  while (half_bits_ < kMostHalfBits && (std::uint64_t{1} << (2 * half_bits_)) < count) ++half_bits_;
  std::uint64_t state = mix(mix(seed + kGolden) ^ (epoch + kGolden));
  for (std::uint64_t& key : keys_) key = mix(state += kGolden);
}

std::uint64_t Permutation::operator()(std::uint64_t index) const {
  const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
  do {
    std::uint64_t left = index >> half_bits_;
    std::uint64_t right = index & mask;
    for (const std::uint64_t key : keys_) {
      const std::uint64_t mixed = left ^ (mix(right + key) >> (64 - half_bits_));
      left = right;
      right = mixed;
    }
    index = (left << half_bits_) | right;
  } while (index >= count_);  // walk the cycle until it is back in the domain
  return index;
}

}  // namespace lockstep
