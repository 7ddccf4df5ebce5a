#include "lockstep/distributed/communicator/between_nodes.h"

#include <algorithm>
#include <utility>

#include "lockstep/distributed/communicator/call.h"

namespace lockstep {
namespace {

class MpiBetweenNodes final : public BetweenNodes {
 public:
  explicit MpiBetweenNodes(MpiComm owners) : owners_(std::move(owners)) {}

  std::size_t start(const Buffer& slice, ReduceOp op) override {
    constexpr std::int64_t piece = std::int64_t{1} << 30;  // MPI counts are int
    const std::scoped_lock lock(mpi_mutex());
    const std::size_t ticket = free_ticket();
    auto& requests = tickets_[ticket].requests;
    for (std::int64_t first = 0; first < slice.count; first += piece) {
      const auto count = static_cast<int>(std::min(piece, slice.count - first));
      check_mpi(MPI_Iallreduce(MPI_IN_PLACE, bytes_at(slice, first), count, mpi_type(slice.type),
                               ops_.get(slice.type, op), owners_.get(), &requests.emplace_back(MPI_REQUEST_NULL)),
                "MPI_Iallreduce");
    }
    return ticket;
  }

  bool test(std::size_t ticket) override {
    const std::scoped_lock lock(mpi_mutex());
    auto& requests = tickets_[ticket].requests;
    int complete = 1;
    if (!requests.empty()) {
      check_mpi(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &complete, MPI_STATUSES_IGNORE),
                "MPI_Testall");
    }
    if (complete == 0) return false;
    requests.clear();
    tickets_[ticket].used = false;
    return true;
  }

  void abandon() override { owners_.abandon(); }

 private:
  struct Ticket {
    std::vector<MPI_Request> requests;
    bool used = false;
  };

  std::size_t free_ticket() {
    auto it = std::find_if(tickets_.begin(), tickets_.end(), [](const Ticket& t) { return !t.used; });
    if (it == tickets_.end()) it = tickets_.insert(tickets_.end(), Ticket{});
    it->used = true;
    return static_cast<std::size_t>(it - tickets_.begin());
  }

  MpiComm owners_;
  MpiOps ops_;
  std::vector<Ticket> tickets_;
};

}  // namespace

std::unique_ptr<BetweenNodes> make_mpi_between_nodes(MpiComm owners) {
  return std::make_unique<MpiBetweenNodes>(std::move(owners));
}

}  // namespace lockstep
