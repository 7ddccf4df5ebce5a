// A random order of N samples in O(1) memory, the same on every rank.
#pragma once

#include <array>
#include <cstdint>

namespace lockstep {

// A bijection of [0, count) keyed by (seed, epoch): a balanced Feistel network over the next even power of two with
// cycle walking (Black and Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). data/README.md fixes every
// constant, so that other programs can reproduce the order.
class Permutation {
 public:
  Permutation(std::uint64_t count, std::uint64_t seed, std::uint64_t epoch);
  // index < count. Expected cost: at most 4 passes of the network, 256 / count below 64 (the network is never smaller
  // than 8 bits, where it would mix badly).
  std::uint64_t operator()(std::uint64_t index) const;

 private:
  std::uint64_t count_;
  unsigned half_bits_;
  std::array<std::uint64_t, 6> keys_;
};

}  // namespace lockstep
