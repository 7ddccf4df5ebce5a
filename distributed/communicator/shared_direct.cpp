// Collectives on memory that all ranks see: they read and write each other's buffers, no copies. An owner reduces its
// slice over all ranks, always in the order of the ranks, and writes the result to all of them: equal bits everywhere.
#include <cstring>

#include "lockstep/distributed/communicator/reduce_kernels.h"
#include "lockstep/distributed/communicator/shared_operation.h"

namespace lockstep {

std::byte* SharedOperation::peer_data(int rank, std::int64_t element) {
  return region_.address(rank, region_.slot(rank, sequence_).location) + element * width();
}

void SharedOperation::begin_direct() {
  switch (call_.kind) {
    case CallKind::all_reduce:
      return context_.several_nodes() ? plan_journeys() : reduce_own_slice();
    case CallKind::reduce_scatter:
      return context_.several_nodes() ? plan_journeys() : reduce_scatter_direct();
    case CallKind::all_gather:
    case CallKind::broadcast:
      return copy_from_peers();
    case CallKind::barrier:
      return;
  }
}

void SharedOperation::reduce_own_slice() {
  const Slice slice = slice_of(call_.count, width(), region_.rank(), context_.owners);
  gather_peers(slice.first);
  reduce(call_.type, call_.op, scale(), inputs_, outputs_, slice.count);
}

// inputs_ and outputs_: all ranks' buffers from element `first` on.
void SharedOperation::gather_peers(std::int64_t first) {
  inputs_.clear();
  outputs_.clear();
  for (int rank = 0; rank < region_.size(); ++rank) {
    inputs_.push_back(peer_data(rank, first));
    outputs_.push_back(peer_data(rank, first));
  }
}

// The node's sums go to the owner's own buffer, from there to the other nodes, then to all of this node. In the chunks
// of a staged collective: another node may have to stage this one, and the owners must exchange equal pieces.
// No more of them are under way at once than there would be chunks in staging: MPI keeps a request and often a copy of
// each. All have left before the next collective begins, so that owners post in one order on all nodes.
bool SharedOperation::send_own_slices() {
  for (; departed_ < journeys_.size(); ++departed_) {
    if (departed_ >= reduced_ + region_.depth() && !receive_own_slices() && departed_ >= reduced_ + region_.depth())
      return false;
    if (scatters_columns()) {
      send_columns_of_node(departed_);
    } else {
      send_slice_of_node(departed_);
    }
  }
  return true;
}

void SharedOperation::send_slice_of_node(std::uint64_t number) {
  const Slice slice = own_slice(number);
  if (slice.count == 0) return;
  gather_peers(slice.first);
  reduce(call_.type, call_.op, scale_before_departure(), inputs_,
         {&outputs_[static_cast<std::size_t>(region_.rank())], 1}, slice.count);
  depart(number, part_of(output_, slice.first, slice.count));
}

bool SharedOperation::receive_own_slices() {
  for (; reduced_ < journeys_.size(); ++reduced_) {
    if ((path_ == Path::direct && reduced_ == departed_) || !has_returned(reduced_)) return false;
    if (path_ != Path::direct || scatters_columns()) continue;  // it is where it belongs
    const Slice slice = own_slice(reduced_);
    if (slice.count == 0) continue;
    gather_peers(slice.first);
    reduce(call_.type, ReduceOp::sum, 1.0, {&inputs_[static_cast<std::size_t>(region_.rank())], 1}, outputs_,
           slice.count);
  }
  return true;
}

void SharedOperation::reduce_scatter_direct() {
  inputs_.clear();
  for (int rank = 0; rank < region_.size(); ++rank) inputs_.push_back(peer_data(rank, region_.rank() * call_.count));
  auto* const output = static_cast<std::byte*>(output_.data);
  reduce(call_.type, call_.op, scale(), inputs_, {&output, 1}, call_.count);
}

void SharedOperation::copy_from_peers() {
  const auto bytes = static_cast<std::size_t>(call_.count * width());
  if (call_.kind == CallKind::broadcast) {
    if (call_.root != region_.rank()) std::memcpy(output_.data, peer_data(call_.root, 0), bytes);
    return;
  }
  for (int rank = 0; rank < region_.size(); ++rank) {
    std::byte* const to = bytes_at(output_, rank * call_.count);
    const std::byte* const from = rank == region_.rank() ? bytes_at(input_, 0) : peer_data(rank, 0);
    if (from != to) std::memcpy(to, from, bytes);
  }
}

}  // namespace lockstep
