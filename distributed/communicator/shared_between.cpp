// The journeys of slices between nodes: every owner sends its slice of each chunk, in the order of the chunks.
#include "lockstep/distributed/communicator/shared_operation.h"

namespace lockstep {

void SharedOperation::plan_journeys() { journeys_.assign(chunk_count(), {}); }

Slice SharedOperation::own_slice(std::uint64_t number) const {
  const Slice elements = chunk(number);
  const Slice slice = slice_of(elements.count, width(), region_.rank(), context_.owners);
  return {elements.first + slice.first, slice.count};
}

void SharedOperation::depart(std::uint64_t number, const Buffer& slice) {
  journeys_[number] = {context_.between->start(slice, call_.op), true};
}

bool SharedOperation::has_returned(std::uint64_t number) {
  Journey& journey = journeys_[number];
  if (journey.under_way) journey.under_way = !context_.between->test(journey.ticket);
  return !journey.under_way;
}

}  // namespace lockstep
