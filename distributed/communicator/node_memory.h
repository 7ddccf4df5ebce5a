// Memory that all ranks of a node see. An interface, so that threads can stand in for ranks in tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace lockstep {

// One piece per rank, all of the same size; each rank sees every piece, at an address of its own.
struct SharedBlock {
  std::vector<std::byte*> of_rank;  // as mapped in this process, by local rank
  std::int64_t bytes = 0;           // of each piece
};

// All functions are collective over the ranks of the node, but for abandon().
class NodeMemory {
 public:
  virtual ~NodeMemory() = default;
  virtual int rank() const = 0;  // local rank
  virtual int size() const = 0;
  // Zeroed and visible to all when it returns. Stays mapped until free(), or until the process ends.
  virtual std::shared_ptr<SharedBlock> allocate(std::int64_t bytes) = 0;
  virtual void free(SharedBlock& block) = 0;
  // flags[i] becomes true where it is true on every rank.
  virtual void agree(std::span<std::uint8_t> flags) = 0;
  // After a failure, when peers may be gone: nothing collective happens from here on, the system frees what is left.
  virtual void abandon() = 0;
};

}  // namespace lockstep
