// What leaves the node: every owner sends its slice, or its column, of each chunk, in the order of the chunks.
#include <cstring>

#include "lockstep/distributed/communicator/shared_operation.h"

namespace lockstep {

void SharedOperation::plan_journeys() { journeys_.assign(chunk_count(), {}); }

Slice SharedOperation::own_slice(std::uint64_t number) const {
  const Slice elements = chunk(number);
  const Slice slice = slice_of(elements.count, width(), region_.rank(), context_.owners);
  return {elements.first + slice.first, slice.count};
}

void SharedOperation::depart(std::uint64_t number, const Buffer& slice) {
  journeys_[number] = {context_.between->all_reduce(slice, call_.op, scale_between_nodes()), true};
}

bool SharedOperation::has_returned(std::uint64_t number) {
  Journey& journey = journeys_[number];
  if (journey.under_way) journey.under_way = !context_.between->test(journey.ticket);
  return !journey.under_way;
}

bool SharedOperation::scatters_columns() const {
  return context_.several_nodes() && call_.kind == CallKind::reduce_scatter && context_.layout.equal();
}

bool SharedOperation::scatters_whole() const {
  return context_.several_nodes() && call_.kind == CallKind::reduce_scatter && !context_.layout.equal();
}

// A rank's part of a chunk, or its column of it, is under way no more often than there are chunks in staging.
bool SharedOperation::may_depart() {
  while (reduced_ < summed_ && has_returned(reduced_)) ++reduced_;
  return summed_ < reduced_ + region_.depth();
}

std::size_t SharedOperation::prepare_parcels(std::uint64_t number) {
  return context_.between->prepare_parcels(chunk(number).count * width());
}

// inputs_: what the ranks of this node have for the rank of this column on `node`.
void SharedOperation::sum_parcel(std::size_t ticket, int node, const Slice& elements) {
  auto* const parcel = context_.between->parcels(ticket) + node * elements.count * width();
  reduce(call_.type, call_.op, scale_before_departure(), inputs_, {&parcel, 1}, elements.count);
}

void SharedOperation::depart_parcels(std::uint64_t number, std::size_t ticket) {
  const Slice elements = chunk(number);
  context_.between->send_parcels(ticket, part_of(output_, elements.first, elements.count), call_.op,
                                 scale_between_nodes());
  journeys_[number] = {ticket, true};
}

// part(rank, number of the part): where a rank of this node has it.
template <typename Part>
void SharedOperation::send_parts(std::uint64_t number, const Part& part) {
  const std::size_t ticket = prepare_parcels(number);
  for (int node = 0; node < context_.layout.node_count(); ++node) {
    const std::int64_t piece = context_.layout.rank_at(node, region_.rank());
    inputs_.clear();
    for (int rank = 0; rank < region_.size(); ++rank) inputs_.push_back(part(rank, piece));
    sum_parcel(ticket, node, chunk(number));
  }
  depart_parcels(number, ticket);
}

void SharedOperation::sum_columns_in_staging(std::uint64_t number) {
  const std::int64_t bytes = chunk(number).count * width();
  send_parts(number,
             [&](int rank, std::int64_t piece) { return region_.staging(rank, global_chunk(number)) + piece * bytes; });
}

// From the ranks' own buffers. A part in place is safe: nobody else reads this rank's part, and it is written by the
// chunk that has been sent.
void SharedOperation::send_columns_of_node(std::uint64_t number) {
  const std::int64_t first = chunk(number).first;
  send_parts(number, [&](int rank, std::int64_t piece) { return peer_data(rank, piece * call_.count + first); });
}

// The parts of a column come straight into staging, where the ranks of the node find them.
void SharedOperation::depart_gathering(std::uint64_t number) {
  const Slice elements = chunk(number);
  journeys_[number] = {context_.between->all_gather(part_of(input_, elements.first, elements.count),
                                                    region_.staging(region_.rank(), global_chunk(number))),
                       true};
}

void SharedOperation::copy_out_columns(std::uint64_t number, const Slice& elements) {
  const auto bytes = static_cast<std::size_t>(elements.count * width());
  for (int local = 0; local < region_.size(); ++local) {
    for (int node = 0; node < context_.layout.node_count(); ++node) {
      const std::int64_t part = context_.layout.rank_at(node, local);
      std::memcpy(bytes_at(output_, part * call_.count + elements.first),
                  region_.staging(local, number) + static_cast<std::size_t>(node) * bytes, bytes);
    }
  }
}

}  // namespace lockstep
