#include "lockstep/distributed/communicator/shared_region.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace lockstep {
namespace {

// The first address in `piece` that suits a Board. Windows begin at pages as a rule; MPI does not promise it.
Board* board_in(std::byte* piece) {
  const auto address = reinterpret_cast<std::uintptr_t>(piece);
  const auto aligned = (address + alignof(Board) - 1) / alignof(Board) * alignof(Board);
  return reinterpret_cast<Board*>(piece + (aligned - address));
}

}  // namespace

SharedRegion::SharedRegion(NodeMemory& memory, StagingSize staging) : rank_(memory.rank()), staging_(staging) {
  const auto staging_bytes = staging.chunk_bytes * static_cast<std::int64_t>(staging.depth);
  memory_ = memory.allocate(static_cast<std::int64_t>(sizeof(Board) + alignof(Board)) + staging_bytes);
  // Zero bytes are valid Boards: their atomics are lock-free integers.
  for (std::byte* piece : memory_->of_rank) boards_.push_back(board_in(piece));
}

bool SharedRegion::all_reached(Progress what, std::uint64_t value) {
  auto& least = least_[static_cast<std::size_t>(what)];
  if (least >= value) return true;
  std::uint64_t found = UINT64_MAX;
  for (int rank = 0; rank < size(); ++rank) {
    found = std::min(found, counter(rank, what).load(std::memory_order_acquire));
    if (found < value) return false;
  }
  least = found;
  return true;
}

std::uint64_t SharedRegion::take_chunks(std::uint64_t count) { return std::exchange(next_chunk_, next_chunk_ + count); }

void SharedRegion::add_block(std::shared_ptr<SharedBlock> block) {
  const auto hole = std::find(blocks_.begin(), blocks_.end(), nullptr);
  if (hole != blocks_.end()) {
    *hole = std::move(block);
  } else {
    blocks_.push_back(std::move(block));
  }
}

void SharedRegion::free_unused_blocks(NodeMemory& memory) {
  std::vector<std::uint8_t> unused(blocks_.size());
  std::transform(blocks_.begin(), blocks_.end(), unused.begin(),
                 [](const auto& block) { return block == nullptr || block.use_count() == 1; });
  if (unused.empty()) return;  // on all ranks alike: blocks are added collectively
  memory.agree(unused);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (unused[i] == 0 || blocks_[i] == nullptr) continue;
    memory.free(*blocks_[i]);
    blocks_[i] = nullptr;
  }
}

std::int64_t SharedRegion::bytes() const {
  std::int64_t bytes = memory_->bytes;
  for (const auto& block : blocks_) {
    if (block != nullptr) bytes += block->bytes;
  }
  return bytes;
}

Location SharedRegion::locate(const void* data, std::int64_t bytes) const {
  const std::less_equal<const std::byte*> not_after;
  const auto* const first = static_cast<const std::byte*>(data);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i] == nullptr) continue;
    const std::byte* const piece = blocks_[i]->of_rank[static_cast<std::size_t>(rank_)];
    if (not_after(piece, first) && not_after(first + bytes, piece + blocks_[i]->bytes)) {
      return {static_cast<std::int32_t>(i), 0, first - piece};
    }
  }
  return {};
}

}  // namespace lockstep
