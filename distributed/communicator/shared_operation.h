// One collective in shared memory under way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lockstep/distributed/communicator/between_nodes.h"
#include "lockstep/distributed/communicator/call_check.h"
#include "lockstep/distributed/communicator/node_layout.h"
#include "lockstep/distributed/communicator/progress_engine.h"
#include "lockstep/distributed/communicator/reduce_kernels.h"
#include "lockstep/distributed/communicator/shared_region.h"
#include "lockstep/distributed/communicator/slice.h"

namespace lockstep {

// What all operations of a communicator share. Outlives them as long as they are under way.
struct SharedContext {
  SharedRegion region;
  NodeLayout layout;
  std::unique_ptr<BetweenNodes> between;  // for the owners of slices, where there are several nodes
  MpiComm world;                          // where there are several nodes: all ranks, to compare their calls
  int owners = 1;                         // the first `owners` local ranks reduce a slice each
  double scale = 1;                       // of an average: 1 / number of all ranks
  bool verify = true;
  std::vector<CommunicatorStatistics::Arrivals> arrivals = {};  // by local rank; the engine's lock protects it

  bool several_nodes() const { return layout.several(); }
};

class SharedOperation final : public EngineOperation {
 public:
  explicit SharedOperation(SharedContext& context) : context_(context), region_(context.region) {}

  // A new life in the pool. input is not used by all_reduce, broadcast and barrier, which work in place.
  void start(std::shared_ptr<ProgressEngine> engine, const Call& call, std::uint64_t sequence, const Buffer& input,
             const Buffer& output);

  void advance(Stage limit) override;
  std::string description() const override { return describe(call_, sequence_); }
  std::string waiting_for() const override;
  Bell* bell() override { return &region_.own_bell(); }

 private:
  // How the data gets to the other ranks; the same on all ranks.
  enum class Path : std::uint8_t { unknown, small, direct, staged };

  // Each takes the operation to the next stage, or returns false where something is missing.
  bool announce();
  bool begin();
  bool publish();
  bool complete_for_all();

  // What this rank gives: input, or the buffer that is worked on in place.
  const Buffer& contribution() const;
  bool contributes() const { return call_.kind != CallKind::broadcast || call_.root == region_.rank(); }
  bool all_arrived();
  void check_calls_on_node();
  void note_who_came_last();
  bool other_nodes_agree();
  void choose_path();

  // shared_small.cpp: the data travels in the slots.
  bool fits_in_slot() const;
  void reduce_from_slots();

  // shared_direct.cpp: the ranks read and write each other's buffers.
  void begin_direct();
  void reduce_own_slice();
  bool reduces() const { return call_.kind == CallKind::all_reduce || call_.kind == CallKind::reduce_scatter; }
  bool sends_slices() const { return context_.several_nodes() && reduces(); }
  bool send_own_slices();     // true when all are on their way
  bool receive_own_slices();  // true when all are back, and those of an all_reduce written to the ranks of this node
  void send_slice_of_node(std::uint64_t number);
  void gather_peers(std::int64_t first);
  void reduce_scatter_direct();
  void copy_from_peers();
  std::byte* peer_data(int rank, std::int64_t element);

  // shared_staged.cpp: chunk by chunk through the staging areas.
  void plan_chunks();
  bool run_chunks();
  bool copy_in();
  bool sum_chunk();
  bool publish_chunk();
  bool copy_out();
  std::uint64_t chunk_count() const;
  std::int64_t elements() const;  // of each piece, which are cut into chunks
  int pieces_in() const;          // that a rank contributes to a chunk
  int pieces_in_staging() const;  // that one rank's staging holds of a chunk
  std::int64_t elements_per_chunk() const;
  Slice chunk(std::uint64_t number) const;  // its elements
  bool reduces_in_staging() const;
  void copy_pieces_in(std::byte* staging, const Slice& elements);
  void sum_slice_in_staging(std::uint64_t number);
  void spread_slices(std::uint64_t number, const Slice& elements);
  void copy_out_chunk(std::uint64_t number, const Slice& elements);

  // shared_between.cpp: what leaves the node.
  struct Journey {
    std::size_t ticket = 0;
    bool under_way = false;
  };
  void plan_journeys();
  Slice own_slice(std::uint64_t number) const;  // of chunk `number`; elements of the whole buffer
  void depart(std::uint64_t number, const Buffer& slice);
  bool has_returned(std::uint64_t number);
  // Ranks own parts, not slices: each sums the parts of its column, the ranks with its local rank, over its node.
  bool scatters_columns() const;
  // Of nodes of different size: an all_reduce of which every rank takes its part.
  bool scatters_whole() const;
  bool gathers_columns() const { return context_.several_nodes() && call_.kind == CallKind::all_gather; }
  bool may_depart();
  std::size_t prepare_parcels(std::uint64_t number);
  void sum_parcel(std::size_t ticket, int node, const Slice& elements);
  void depart_parcels(std::uint64_t number, std::size_t ticket);
  template <typename Part>
  void send_parts(std::uint64_t number, const Part& part);
  void sum_columns_in_staging(std::uint64_t number);
  void send_columns_of_node(std::uint64_t number);
  void depart_gathering(std::uint64_t number);
  void copy_out_columns(std::uint64_t number, const Slice& elements);

  // float16 is scaled before the sums leave the node: 16 ranks' gradients of 8,000 have no sum in it, but a mean.
  double scale_before_departure() const { return scales_first(call_.type) ? scale() : 1.0; }
  double scale_between_nodes() const { return scales_first(call_.type) ? 1.0 : scale(); }
  double scale() const { return call_.op == ReduceOp::average ? context_.scale : 1.0; }
  std::int64_t width() const { return static_cast<std::int64_t>(element_bytes(call_.type)); }
  std::uint64_t global_chunk(std::uint64_t number) const { return first_chunk_ + number; }

  SharedContext& context_;
  SharedRegion& region_;
  Call call_;
  std::uint64_t sequence_ = 0;
  Buffer input_;
  Buffer output_;
  Location location_;
  Path path_ = Path::unknown;
  int arrived_ = 0;                       // this many ranks, from 0 on, are known to have arrived
  bool checked_ = false;                  // all have arrived and agree
  CallCheck check_;                       // with the other nodes
  std::vector<const std::byte*> inputs_;  // for reduce(), kept to save allocations
  std::vector<std::byte*> outputs_;

  // Of a staged collective: chunks planned, copied in, summed, reduced, copied out; numbers count from 0 in this
  // collective.
  std::uint64_t first_chunk_ = 0;
  std::uint64_t chunks_ = 0;
  std::uint64_t in_ = 0;
  std::uint64_t summed_ = 0;
  std::uint64_t departed_ = 0;  // of a direct collective over several nodes: chunks whose slice was sent
  std::uint64_t reduced_ = 0;   // over several nodes: chunks whose journey has ended
  std::uint64_t out_ = 0;
  std::vector<Journey> journeys_;  // by chunk
};

}  // namespace lockstep
