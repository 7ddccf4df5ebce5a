#include "lockstep/distributed/communicator/between_nodes.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "lockstep/distributed/communicator/call.h"
#include "lockstep/distributed/communicator/reduce_kernels.h"

namespace lockstep {
namespace {

constexpr int kTag = 0;  // messages between two nodes stay in their order, which is that of the slices

// A slice that goes whole to every node needs one exchange instead of two, and each node sends (n - 1) of it instead of
// 2 (n - 1) / n: so many bytes more are worth the latency that it saves. Between two nodes there are none more.
constexpr std::int64_t worth_an_exchange = std::int64_t{32} << 10;
std::int64_t extra_bytes(std::int64_t slice_bytes, std::int64_t nodes) {
  return slice_bytes * (nodes - 1) * (nodes - 2) / nodes;
}

enum class Step : std::uint8_t {
  free,
  prepared,   // there is memory for parcels
  combining,  // the nodes' values for this node are on their way; they will be combined
  spreading   // what this node has is on its way to the others; nothing remains to be done with it
};

struct Exchange {
  Step step = Step::free;
  bool spreads = false;   // after combining: the result goes to all nodes
  bool in_place = false;  // this node's own values are where the result goes, not among the incoming ones
  std::vector<MPI_Request> requests;
  Buffer slice;   // of an all_reduce: all of it
  Buffer result;  // where the combined values go
  ReduceOp op = ReduceOp::sum;
  double scale = 1;
  std::vector<std::byte> outgoing;
  std::vector<std::byte> incoming;
  // MPI reads them while the exchange is under way.
  std::vector<int> send_counts, send_places, receive_counts, receive_places;
};

class MpiBetweenNodes final : public BetweenNodes {
 public:
  explicit MpiBetweenNodes(MpiComm column) : column_(std::move(column)), spread_(MpiComm::duplicate(column_.get())) {
    inputs_.resize(static_cast<std::size_t>(nodes()));
  }

  std::int64_t memory_bytes() const override {
    std::size_t bytes = 0;
    for (const Exchange& exchange : exchanges_) bytes += exchange.outgoing.capacity() + exchange.incoming.capacity();
    return static_cast<std::int64_t>(bytes);
  }

  std::size_t all_reduce(const Buffer& slice, ReduceOp op, double scale) override {
    const std::size_t ticket = free_ticket();
    Exchange& exchange = exchanges_[ticket];
    exchange.slice = slice;
    exchange.op = op;
    exchange.scale = scale;
    exchange.spreads = extra_bytes(bytes_of(slice), nodes()) > worth_an_exchange;
    exchange.in_place = !exchange.spreads;
    exchange.step = Step::combining;
    if (exchange.spreads) {
      send_pieces(exchange);
      to_spread_.push_back(ticket);
    } else {
      send_whole(exchange);
    }
    return ticket;
  }

  std::size_t prepare_parcels(std::int64_t bytes_each) override {
    const std::size_t ticket = free_ticket();
    exchanges_[ticket].step = Step::prepared;
    exchanges_[ticket].outgoing.resize(static_cast<std::size_t>(bytes_each * nodes()));
    return ticket;
  }

  std::byte* parcels(std::size_t ticket) override { return exchanges_[ticket].outgoing.data(); }

  void send_parcels(std::size_t ticket, const Buffer& output, ReduceOp op, double scale) override {
    Exchange& exchange = exchanges_[ticket];
    exchange.result = output;
    exchange.op = op;
    exchange.scale = scale;
    exchange.spreads = exchange.in_place = false;
    exchange.step = Step::combining;
    exchange.incoming.resize(exchange.outgoing.size());
    const int count = static_cast<int>(output.count);
    const MPI_Datatype type = mpi_type(output.type);
    const auto lock = lock_mpi();
    check_mpi(MPI_Ialltoall(exchange.outgoing.data(), count, type, exchange.incoming.data(), count, type, column_.get(),
                            new_request(exchange)),
              "MPI_Ialltoall");
  }

  std::size_t all_gather(const Buffer& input, std::byte* output) override {
    const std::size_t ticket = free_ticket();
    Exchange& exchange = exchanges_[ticket];
    exchange.step = Step::spreading;
    const int count = static_cast<int>(input.count);
    const MPI_Datatype type = mpi_type(input.type);
    const auto lock = lock_mpi();
    check_mpi(MPI_Iallgather(input.data, count, type, output, count, type, column_.get(), new_request(exchange)),
              "MPI_Iallgather");
    return ticket;
  }

  bool test(std::size_t ticket) override {
    spread_what_has_come();
    Exchange& exchange = exchanges_[ticket];
    if (exchange.step == Step::combining && exchange.spreads) return false;
    if (!has_arrived(exchange)) return false;
    if (exchange.step == Step::combining) combine(exchange);
    exchange.step = Step::free;
    return true;
  }

  void abandon() override {
    column_.abandon();
    spread_.abandon();
  }

 private:
  int nodes() const { return column_.size(); }

  std::size_t free_ticket() {
    auto it =
        std::find_if(exchanges_.begin(), exchanges_.end(), [](const Exchange& e) { return e.step == Step::free; });
    if (it == exchanges_.end()) it = exchanges_.insert(exchanges_.end(), Exchange{});
    return static_cast<std::size_t>(it - exchanges_.begin());
  }

  // Node `node` combines this piece of every slice of `count` elements.
  std::int64_t first_of(int node, std::int64_t count) const { return count * node / nodes(); }
  Buffer piece_of(const Buffer& slice, int node) const {
    const std::int64_t first = first_of(node, slice.count);
    return part_of(slice, first, first_of(node + 1, slice.count) - first);
  }

  void send_pieces(Exchange& exchange) {
    const Buffer& slice = exchange.slice;
    exchange.result = piece_of(slice, column_.rank());
    exchange.incoming.resize(static_cast<std::size_t>(bytes_of(exchange.result) * nodes()));
    exchange.send_counts.resize(inputs_.size());
    exchange.send_places.resize(inputs_.size());
    exchange.receive_counts.assign(inputs_.size(), static_cast<int>(exchange.result.count));
    exchange.receive_places.resize(inputs_.size());
    for (int node = 0; node < nodes(); ++node) {
      const auto n = static_cast<std::size_t>(node);
      exchange.send_counts[n] = static_cast<int>(piece_of(slice, node).count);
      exchange.send_places[n] = static_cast<int>(first_of(node, slice.count));
      exchange.receive_places[n] = static_cast<int>(exchange.result.count * node);
    }
    const MPI_Datatype type = mpi_type(slice.type);
    const auto lock = lock_mpi();
    check_mpi(MPI_Ialltoallv(slice.data, exchange.send_counts.data(), exchange.send_places.data(), type,
                             exchange.incoming.data(), exchange.receive_counts.data(), exchange.receive_places.data(),
                             type, column_.get(), new_request(exchange)),
              "MPI_Ialltoallv");
  }

  // Message by message: MPI's non-blocking all_gather takes longer to set up. This node's own values stay where they
  // are.
  void send_whole(Exchange& exchange) {
    const Buffer& slice = exchange.slice;
    exchange.result = slice;
    const std::int64_t bytes = bytes_of(slice);
    exchange.incoming.resize(static_cast<std::size_t>(bytes * nodes()));
    const int count = static_cast<int>(slice.count);
    const MPI_Datatype type = mpi_type(slice.type);
    const auto lock = lock_mpi();
    for (int node = 0; node < nodes(); ++node) {
      if (node == column_.rank()) continue;
      check_mpi(MPI_Irecv(exchange.incoming.data() + node * bytes, count, type, node, kTag, column_.get(),
                          new_request(exchange)),
                "MPI_Irecv");
    }
    for (int node = 0; node < nodes(); ++node) {
      if (node == column_.rank()) continue;
      check_mpi(MPI_Isend(slice.data, count, type, node, kTag, column_.get(), new_request(exchange)), "MPI_Isend");
    }
  }

  // The second exchanges of large slices. In the order of the first ones, whichever of those completes earlier: MPI
  // wants one order on all nodes. On a communicator of their own: they mix with later first ones in any order.
  void spread_what_has_come() {
    while (!to_spread_.empty()) {
      Exchange& exchange = exchanges_[to_spread_.front()];
      if (!has_arrived(exchange)) return;
      combine(exchange);
      spread(exchange);
      to_spread_.erase(to_spread_.begin());
    }
  }

  void spread(Exchange& exchange) {
    exchange.step = Step::spreading;
    const auto lock = lock_mpi();
    check_mpi(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, exchange.slice.data, exchange.send_counts.data(),
                              exchange.send_places.data(), mpi_type(exchange.slice.type), spread_.get(),
                              new_request(exchange)),
              "MPI_Iallgatherv");
  }

  static MPI_Request* new_request(Exchange& exchange) { return &exchange.requests.emplace_back(MPI_REQUEST_NULL); }

  bool has_arrived(Exchange& exchange) {
    const auto lock = lock_mpi();
    int complete = 0;
    check_mpi(MPI_Testall(static_cast<int>(exchange.requests.size()), exchange.requests.data(), &complete,
                          MPI_STATUSES_IGNORE),
              "MPI_Testall");
    if (complete != 0) exchange.requests.clear();
    return complete != 0;
  }

  void combine(const Exchange& exchange) {
    const std::int64_t bytes = bytes_of(exchange.result);
    for (std::size_t node = 0; node < inputs_.size(); ++node)
      inputs_[node] = exchange.incoming.data() + static_cast<std::int64_t>(node) * bytes;
    auto* const result = static_cast<std::byte*>(exchange.result.data);
    if (exchange.in_place) inputs_[static_cast<std::size_t>(column_.rank())] = result;
    reduce(exchange.result.type, exchange.op, exchange.scale, inputs_, {&result, 1}, exchange.result.count);
  }

  MpiComm column_;
  MpiComm spread_;
  std::deque<Exchange> exchanges_;      // by ticket; never shrinks
  std::vector<std::size_t> to_spread_;  // tickets, in the order in which they were started
  std::vector<const std::byte*> inputs_;
};

}  // namespace

std::unique_ptr<BetweenNodes> make_mpi_between_nodes(MpiComm column) {
  return std::make_unique<MpiBetweenNodes>(std::move(column));
}

}  // namespace lockstep
