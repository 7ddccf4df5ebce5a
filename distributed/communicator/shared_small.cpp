// Small collectives: the data is in the announcement itself. Every rank reads all of it and computes the result for
// itself; one synchronisation, no second one. The slots are safe until this rank's finished counter passes the
// collective.
#include <cstring>

#include "lockstep/distributed/communicator/reduce_kernels.h"
#include "lockstep/distributed/communicator/shared_operation.h"

namespace lockstep {

bool SharedOperation::fits_in_slot() const {
  if (context_.several_nodes()) return call_.kind == CallKind::barrier;
  const std::int64_t parts = call_.kind == CallKind::reduce_scatter ? region_.size() : 1;
  return call_.count * parts * width() <= static_cast<std::int64_t>(Slot::payload_bytes);
}

void SharedOperation::reduce_from_slots() {
  if (call_.count == 0) return;
  const auto part_bytes = static_cast<std::size_t>(call_.count * width());
  const auto payload = [&](int rank) { return region_.slot(rank, sequence_).payload; };
  if (call_.kind == CallKind::broadcast) {
    if (call_.root != region_.rank()) std::memcpy(output_.data, payload(call_.root), part_bytes);
    return;
  }
  if (call_.kind == CallKind::all_gather) {
    for (int rank = 0; rank < region_.size(); ++rank) {
      std::memcpy(bytes_at(output_, rank * call_.count), payload(rank), part_bytes);
    }
    return;
  }
  const std::size_t offset = call_.kind == CallKind::reduce_scatter ? region_.rank() * part_bytes : 0;
  inputs_.clear();
  for (int rank = 0; rank < region_.size(); ++rank) inputs_.push_back(payload(rank) + offset);
  auto* const output = static_cast<std::byte*>(output_.data);
  reduce(call_.type, call_.op, scale(), inputs_, {&output, 1}, call_.count);
}

}  // namespace lockstep
