// Collectives on memory that the other ranks do not see: chunk by chunk through every rank's staging area, several
// chunks under way at once. in: each rank copies its part of the chunk; summed: the owners reduce their slices there;
// reduced: other nodes have added theirs; out: each rank takes the result. With two ranks on one node the middle steps
// are left out, each adds the two for itself.
#include <algorithm>
#include <cstring>

#include "lockstep/distributed/communicator/reduce_kernels.h"
#include "lockstep/distributed/communicator/shared_operation.h"

namespace lockstep {

bool SharedOperation::reduces_in_staging() const {
  if (scatters_whole()) return true;
  return call_.kind == CallKind::all_reduce && (context_.several_nodes() || region_.size() > 2);
}

void SharedOperation::plan_chunks() {
  chunks_ = chunk_count();
  first_chunk_ = region_.take_chunks(chunks_);
  if (context_.several_nodes()) plan_journeys();
}

std::uint64_t SharedOperation::chunk_count() const {
  const std::int64_t each = elements_per_chunk();
  return static_cast<std::uint64_t>((elements() + each - 1) / each);
}

std::int64_t SharedOperation::elements() const { return scatters_whole() ? input_.count : call_.count; }

// Of reduce_scatter: a piece of each rank's part; they lie side by side in the staging area.
int SharedOperation::pieces_in() const {
  if (call_.kind != CallKind::reduce_scatter || scatters_whole()) return 1;
  return context_.several_nodes() ? context_.layout.node_count() * region_.size() : region_.size();
}

int SharedOperation::pieces_in_staging() const {
  return gathers_columns() ? context_.layout.node_count() : pieces_in();
}

std::int64_t SharedOperation::elements_per_chunk() const {
  return region_.chunk_bytes() / (width() * pieces_in_staging());
}

Slice SharedOperation::chunk(std::uint64_t number) const {
  const std::int64_t each = elements_per_chunk();
  const std::int64_t first = static_cast<std::int64_t>(number) * each;
  return {first, std::min(each, elements() - first)};
}

bool SharedOperation::run_chunks() {
  while (copy_in() || sum_chunk() || publish_chunk() || copy_out()) {
  }
  return out_ == chunks_ && checked_;
}

bool SharedOperation::copy_in() {
  if (in_ == chunks_) return false;
  const std::uint64_t global = global_chunk(in_);
  if (gathers_columns() && !checked_) return false;  // MPI wants the calls of all nodes in one order
  // The staging area of this chunk served another one before: everybody must have taken that one out.
  if (global >= region_.depth() && !region_.all_reached(Progress::chunk_out, global - region_.depth() + 1))
    return false;
  if (gathers_columns()) {
    depart_gathering(in_);
  } else {
    if (contributes()) copy_pieces_in(region_.staging(region_.rank(), global), chunk(in_));
    region_.publish(Progress::chunk_in, global + 1);
  }
  ++in_;
  return true;
}

void SharedOperation::copy_pieces_in(std::byte* staging, const Slice& elements) {
  const auto bytes = static_cast<std::size_t>(elements.count * width());
  for (int piece = 0; piece < pieces_in(); ++piece) {
    std::memcpy(staging + static_cast<std::size_t>(piece) * bytes,
                bytes_at(contribution(), piece * call_.count + elements.first), bytes);
  }
}

bool SharedOperation::sum_chunk() {
  if (!(reduces_in_staging() || scatters_columns()) || !checked_ || summed_ == in_) return false;
  if (!region_.all_reached(Progress::chunk_in, global_chunk(summed_) + 1)) return false;
  if (scatters_columns()) {
    if (!may_depart()) return false;
    sum_columns_in_staging(summed_);
  } else {
    sum_slice_in_staging(summed_);
  }
  ++summed_;
  return true;
}

void SharedOperation::sum_slice_in_staging(std::uint64_t number) {
  const Slice elements = chunk(number);
  const Slice slice = own_slice(number);
  if (slice.count == 0) return;
  const std::int64_t offset = (slice.first - elements.first) * width();
  inputs_.clear();
  for (int rank = 0; rank < region_.size(); ++rank) {
    inputs_.push_back(region_.staging(rank, global_chunk(number)) + offset);
  }
  auto* const own = region_.staging(region_.rank(), global_chunk(number)) + offset;
  reduce(call_.type, call_.op, context_.several_nodes() ? scale_before_departure() : scale(), inputs_, {&own, 1},
         slice.count);
  if (context_.several_nodes()) depart(number, {own, slice.count, call_.type});
}

// What has returned from the other nodes, or was complete when it was summed.
bool SharedOperation::publish_chunk() {
  const std::uint64_t sent = gathers_columns() ? in_ : summed_;
  if (reduced_ == sent || (context_.several_nodes() && !has_returned(reduced_))) return false;
  region_.publish(gathers_columns() ? Progress::chunk_in : Progress::chunk_reduced, global_chunk(reduced_) + 1);
  ++reduced_;
  return true;
}

bool SharedOperation::copy_out() {
  if (!checked_ || out_ == in_) return false;
  const std::uint64_t global = global_chunk(out_);
  if (scatters_columns()) {
    if (out_ == summed_) return false;  // the sums are in parcels: nothing to copy, the staging may be used again
  } else {
    const Progress needed = reduces_in_staging() ? Progress::chunk_reduced : Progress::chunk_in;
    if (!region_.all_reached(needed, global + 1)) return false;
    copy_out_chunk(global, chunk(out_));
  }
  region_.publish(Progress::chunk_out, global + 1);
  ++out_;
  return true;
}

void SharedOperation::copy_out_chunk(std::uint64_t number, const Slice& elements) {
  const auto bytes = static_cast<std::size_t>(elements.count * width());
  if (call_.kind == CallKind::broadcast) {
    if (!contributes()) std::memcpy(bytes_at(output_, elements.first), region_.staging(call_.root, number), bytes);
    return;
  }
  if (gathers_columns()) return copy_out_columns(number, elements);
  if (call_.kind == CallKind::all_gather) {
    for (int rank = 0; rank < region_.size(); ++rank) {
      std::memcpy(bytes_at(output_, rank * call_.count + elements.first), region_.staging(rank, number), bytes);
    }
    return;
  }
  if (reduces_in_staging()) return spread_slices(number, elements);
  const std::size_t offset = call_.kind == CallKind::reduce_scatter ? region_.rank() * bytes : 0;
  inputs_.clear();
  for (int rank = 0; rank < region_.size(); ++rank) inputs_.push_back(region_.staging(rank, number) + offset);
  auto* const output = bytes_at(output_, elements.first);
  // Not overwritten yet, and nearer than its copy.
  if (call_.kind == CallKind::all_reduce) inputs_[static_cast<std::size_t>(region_.rank())] = output;
  reduce(call_.type, call_.op, scale(), inputs_, {&output, 1}, elements.count);
}

void SharedOperation::spread_slices(std::uint64_t number, const Slice& elements) {
  // The elements that this rank wants: all, or its part.
  const std::int64_t begin = scatters_whole() ? call_.count * context_.layout.rank : 0;
  const std::int64_t end = begin + output_.count;
  for (int owner = 0; owner < context_.owners; ++owner) {
    const Slice slice = slice_of(elements.count, width(), owner, context_.owners);
    const std::int64_t first = std::max(elements.first + slice.first, begin);
    const std::int64_t last = std::min(elements.first + slice.first + slice.count, end);
    if (first >= last) continue;
    const std::byte* const from = region_.staging(owner, number) + (first - elements.first) * width();
    std::memcpy(bytes_at(output_, first - begin), from, static_cast<std::size_t>((last - first) * width()));
  }
}

}  // namespace lockstep
