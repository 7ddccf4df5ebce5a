// Threads in place of ranks: the shared-memory protocol without MPI, so that ThreadSanitizer sees all of it.
#pragma once

#include <algorithm>
#include <barrier>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "lockstep/distributed/communicator/shared_memory_communicator.h"

namespace lockstep::testing {

class ThreadNode {
 public:
  explicit ThreadNode(int size) : size_(size), barrier_(size), flags_(static_cast<std::size_t>(size)) {}

  // This rank's piece of a block; all pieces are seen by all.
  std::shared_ptr<SharedBlock> allocate(int rank, std::int64_t bytes) {
    if (rank == 0) pieces_.assign(static_cast<std::size_t>(size_), nullptr);
    barrier_.arrive_and_wait();
    const std::size_t rounded = (static_cast<std::size_t>(bytes) / 4096 + 1) * 4096;
    auto* const piece = static_cast<std::byte*>(std::aligned_alloc(4096, rounded));
    std::memset(piece, 0, rounded);
    pieces_[static_cast<std::size_t>(rank)] = piece;
    barrier_.arrive_and_wait();
    auto block = std::make_shared<SharedBlock>();
    block->of_rank = pieces_;
    block->bytes = bytes;
    barrier_.arrive_and_wait();
    return block;
  }

  void free(int rank, SharedBlock& block) {
    barrier_.arrive_and_wait();  // as MPI_Win_free does: nobody may still be looking
    std::free(block.of_rank[static_cast<std::size_t>(rank)]);
  }

  void agree(int rank, std::span<std::uint8_t> flags) {
    flags_[static_cast<std::size_t>(rank)].assign(flags.begin(), flags.end());
    barrier_.arrive_and_wait();
    for (const auto& theirs : flags_) {
      for (std::size_t i = 0; i < flags.size(); ++i) flags[i] = std::min(flags[i], theirs[i]);
    }
    barrier_.arrive_and_wait();
  }

  int size() const { return size_; }

 private:
  int size_;
  std::barrier<> barrier_;
  std::vector<std::byte*> pieces_;
  std::vector<std::vector<std::uint8_t>> flags_;
};

class ThreadMemory final : public NodeMemory {
 public:
  ThreadMemory(ThreadNode& node, int rank) : node_(node), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return node_.size(); }
  std::shared_ptr<SharedBlock> allocate(std::int64_t bytes) override { return node_.allocate(rank_, bytes); }
  void free(SharedBlock& block) override { node_.free(rank_, block); }
  void agree(std::span<std::uint8_t> flags) override { node_.agree(rank_, flags); }
  void abandon() override {}

 private:
  ThreadNode& node_;
  int rank_;
};

struct ThreadOptions {
  bool progress_thread = false;
  double timeout_seconds = 60;
  StagingSize staging = {.chunk_bytes = 4096, .depth = 3};  // small: many chunks
};

// Collective over the threads of `node`.
inline std::unique_ptr<SharedMemoryCommunicator> make_thread_communicator(ThreadNode& node, int rank,
                                                                          const ThreadOptions& options,
                                                                          std::shared_ptr<ProgressRegistry> registry) {
  auto engine = std::make_shared<ProgressEngine>(ProgressOptions{.timeout_seconds = options.timeout_seconds,
                                                                 .thread = options.progress_thread,
                                                                 .crowded = true,
                                                                 .where = "rank " + std::to_string(rank),
                                                                 .registry = std::move(registry)});
  SharedMemoryOptions shared;
  shared.engine = std::move(engine);
  shared.staging = options.staging;
  return std::make_unique<SharedMemoryCommunicator>(std::make_unique<ThreadMemory>(node, rank), std::move(shared));
}

// Runs `rank_body` as `size` ranks, each with two communicators of its own; rethrows the first exception of the lowest
// rank.
inline void run_as_ranks_with_two(int size, const std::function<void(Communicator&, Communicator&)>& rank_body,
                                  const ThreadOptions& options = {}) {
  ThreadNode first_node(size), second_node(size);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      const auto registry = std::make_shared<ProgressRegistry>();
      const auto first = make_thread_communicator(first_node, rank, options, registry);
      const auto second = make_thread_communicator(second_node, rank, options, registry);
      try {
        rank_body(*first, *second);
      } catch (...) {
        errors[static_cast<std::size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

// The same with one communicator each.
inline void run_as_ranks(int size, const std::function<void(Communicator&)>& rank_body,
                         const ThreadOptions& options = {}) {
  run_as_ranks_with_two(
      size, [&](Communicator& c, Communicator&) { rank_body(c); }, options);
}

}  // namespace lockstep::testing
