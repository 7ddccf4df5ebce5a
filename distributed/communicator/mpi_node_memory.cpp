#include "lockstep/distributed/communicator/mpi_node_memory.h"

#include <cstring>
#include <string>
#include <utility>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

struct WindowBlock : SharedBlock {
  MPI_Win window = MPI_WIN_NULL;
};

class MpiNodeMemory final : public NodeMemory {
 public:
  MpiNodeMemory(MpiComm node, Patience patience) : node_(std::move(node)), patience_(std::move(patience)) {}

  int rank() const override { return node_.rank(); }
  int size() const override { return node_.size(); }

  std::shared_ptr<SharedBlock> allocate(std::int64_t bytes) override {
    meet(node_.get(), "allocate()", patience_);
    const auto lock = lock_mpi_while_blocking();
    auto block = std::make_shared<WindowBlock>();
    block->bytes = bytes;
    create_window(*block, rounded_up(bytes));
    for (int rank = 0; rank < size(); ++rank) block->of_rank.push_back(address_of(*block, rank));
    std::memset(block->of_rank[static_cast<std::size_t>(rank())], 0, static_cast<std::size_t>(rounded_up(bytes)));
    check_mpi(MPI_Barrier(node_.get()), "MPI_Barrier");  // nobody may look before all is zero
    return block;
  }

  void free(SharedBlock& block) override {
    auto& window = static_cast<WindowBlock&>(block).window;
    if (window == MPI_WIN_NULL || !may_free_mpi_objects()) return;
    meet(node_.get(), "the end of shared memory", patience_);
    const auto lock = lock_mpi_while_blocking();
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
  }

  void agree(std::span<std::uint8_t> flags) override {
    MPI_Request request = MPI_REQUEST_NULL;
    {
      const auto lock = lock_mpi();
      check_mpi(MPI_Iallreduce(MPI_IN_PLACE, flags.data(), static_cast<int>(flags.size()), MPI_UINT8_T, MPI_MIN,
                               node_.get(), &request),
                "MPI_Iallreduce");
    }
    complete(request, "allocate(), or the end of the communicator", patience_);
  }

  void abandon() override { node_.abandon(); }

 private:
  // Whole pages, so that the first touch of a piece places it near its owner.
  static std::int64_t rounded_up(std::int64_t bytes) {
    constexpr std::int64_t page = 4096;
    return (bytes / page + 1) * page;
  }

  void create_window(WindowBlock& block, std::int64_t bytes) {
    MPI_Info info = MPI_INFO_NULL;
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", "true");
    void* base = nullptr;
    const int code = MPI_Win_allocate_shared(bytes, 1, info, node_.get(), &base, &block.window);
    MPI_Info_free(&info);
    if (code != MPI_SUCCESS) {
      fail(ErrorKind::environment,
           "no shared memory for " + std::to_string(size()) + " ranks x " + std::to_string(bytes) + " bytes",
           "look at the size of /dev/shm (df -h /dev/shm; containers often have 64 MB: --shm-size), or use the backend "
           "mpi");
    }
    check_mpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, block.window), "MPI_Win_lock_all");
  }

  static std::byte* address_of(const WindowBlock& block, int rank) {
    MPI_Aint bytes = 0;
    int unit = 0;
    void* base = nullptr;
    check_mpi(MPI_Win_shared_query(block.window, rank, &bytes, &unit, &base), "MPI_Win_shared_query");
    return static_cast<std::byte*>(base);
  }

  MpiComm node_;
  Patience patience_;
};

}  // namespace

std::unique_ptr<NodeMemory> make_mpi_node_memory(MpiComm node, Patience patience) {
  return std::make_unique<MpiNodeMemory>(std::move(node), std::move(patience));
}

}  // namespace lockstep
