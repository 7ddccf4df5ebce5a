// What the ranks of a node keep in shared memory to work together: who has called what, how far everybody is, and space
// to pass data through. README.md describes the protocol and its invariants.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lockstep/distributed/communicator/bell.h"
#include "lockstep/distributed/communicator/call.h"
#include "lockstep/distributed/communicator/node_memory.h"

namespace lockstep {

constexpr std::size_t cache_line = 64;

// Where a rank's data lies: in a block that all ranks see, or elsewhere.
struct Location {
  std::int32_t block = -1;  // -1: elsewhere
  std::int32_t unused = 0;
  std::int64_t offset = 0;  // bytes from the start of the rank's piece

  bool direct() const { return block >= 0; }
};

// A rank's announcement of one collective. Collective number s uses slot s % slot_count; once `stamp` is s, the rest is
// valid.
struct alignas(cache_line) Slot {
  static constexpr std::size_t payload_bytes = 2048;
  std::atomic<std::uint64_t> stamp;
  Call call;
  Location location;
  std::int64_t announced_at;                    // nanoseconds of the monotonic clock, which the ranks of a node share
  alignas(8) std::byte payload[payload_bytes];  // the data itself, where it is small
};

// A counter that one rank writes and all read; alone on its pair of cache lines (processors fetch them in pairs).
struct alignas(2 * cache_line) Counter {
  std::atomic<std::uint64_t> value;
};

enum class Progress : std::uint8_t {
  finished,       // collectives in which this rank no longer reads or writes shared memory
  chunk_in,       // chunks that this rank has copied into its staging area
  chunk_reduced,  // chunks of which this rank has reduced its slice
  chunk_out       // chunks whose staging this rank no longer reads
};

// One rank's part of the shared memory; the staging area follows it. All zero at the start.
struct Board {
  static constexpr std::uint64_t slot_count = 16;
  std::array<Counter, 4> counters;  // by Progress
  Bell bell;                        // the owner's
  std::array<Slot, slot_count> slots;
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

struct StagingSize {
  std::int64_t chunk_bytes = std::int64_t{128} << 10;  // a multiple of the cache line
  std::uint64_t depth = 4;                             // chunks that may be under way at once
};

// This rank's view of the node. Not thread-safe: the progress engine's lock protects it.
class SharedRegion {
 public:
  // Collective over the ranks of `memory`.
  SharedRegion(NodeMemory& memory, StagingSize staging);

  int rank() const { return rank_; }
  int size() const { return static_cast<int>(boards_.size()); }
  std::int64_t chunk_bytes() const { return staging_.chunk_bytes; }
  std::uint64_t depth() const { return staging_.depth; }

  Slot& slot(int rank, std::uint64_t sequence) { return board(rank).slots[sequence % Board::slot_count]; }
  bool has_arrived(int rank, std::uint64_t sequence) {
    return slot(rank, sequence).stamp.load(std::memory_order_acquire) >= sequence;
  }
  // A rank's staging area for chunk number `chunk`.
  std::byte* staging(int rank, std::uint64_t chunk) {
    return reinterpret_cast<std::byte*>(&board(rank) + 1) +
           static_cast<std::int64_t>(chunk % staging_.depth) * staging_.chunk_bytes;
  }

  void publish(Progress what, std::uint64_t value) {
    counter(rank_, what).store(value, std::memory_order_release);
    wake_others();
  }
  // Behind every store that others may wait for.
  void wake_others() {
    for (int rank = 0; rank < size(); ++rank) {
      if (rank != rank_) ring(board(rank).bell);
    }
  }
  Bell& own_bell() { return board(rank_).bell; }
  bool has_reached(int rank, Progress what, std::uint64_t value) {
    return counter(rank, what).load(std::memory_order_acquire) >= value;
  }
  // All ranks' counters are at least `value`. Remembers the least one seen, so that a yes is usually free.
  bool all_reached(Progress what, std::uint64_t value);

  // Takes the next `count` chunk numbers; all ranks take the same ones, as they stage the same collectives in one
  // order.
  std::uint64_t take_chunks(std::uint64_t count);

  // Blocks for users' buffers.
  void add_block(std::shared_ptr<SharedBlock> block);
  // Frees blocks that no rank's user holds any longer. Collective.
  void free_unused_blocks(NodeMemory& memory);
  Location locate(const void* data, std::int64_t bytes) const;
  std::byte* address(int rank, const Location& location) const {
    return blocks_[static_cast<std::size_t>(location.block)]->of_rank[static_cast<std::size_t>(rank)] + location.offset;
  }
  // Of this rank's pieces: its board, its staging area, and blocks that are not yet freed.
  std::int64_t bytes() const;
  // The region's own memory; for its owner to free at the end.
  SharedBlock& memory() { return *memory_; }

 private:
  Board& board(int rank) { return *boards_[static_cast<std::size_t>(rank)]; }
  std::atomic<std::uint64_t>& counter(int rank, Progress what) {
    return board(rank).counters[static_cast<std::size_t>(what)].value;
  }

  int rank_;
  StagingSize staging_;
  std::shared_ptr<SharedBlock> memory_;
  std::vector<Board*> boards_;
  std::vector<std::shared_ptr<SharedBlock>>
      blocks_;                            // null where one was freed: the index is the block's name on all ranks
  std::array<std::uint64_t, 4> least_{};  // by Progress
  std::uint64_t next_chunk_ = 0;
};

}  // namespace lockstep
