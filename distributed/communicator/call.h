// What a rank asks for: one collective call as a small value that ranks exchange and compare.
#pragma once

#include <cstdint>
#include <string>

#include "lockstep/distributed/communicator/communicator.h"

namespace lockstep {

enum class CallKind : std::uint8_t { all_reduce, reduce_scatter, all_gather, broadcast, barrier };

// Trivially copyable and without padding: it is sent as bytes.
struct Call {
  CallKind kind = CallKind::barrier;
  DataType type = DataType::float32;
  ReduceOp op = ReduceOp::sum;
  std::uint8_t unused = 0;
  std::int32_t root = -1;  // -1 where the collective has none
  std::int64_t count = 0;  // all_reduce, broadcast: elements of the buffer; the others: elements of one rank's part

  bool operator==(const Call&) const = default;
};

// "all_reduce of 512 float32 (sum)"
std::string describe(const Call& call);
// "all_reduce #12 of 512 float32 (sum)"; the number counts this communicator's collectives from 1.
std::string describe(const Call& call, std::uint64_t sequence);

// The call for the arguments of each collective. Throws Failure(usage) where they contradict each other: a negative
// count, no memory, another type, a wrong number of elements, overlapping parts, a root that does not exist, an integer
// average.
Call all_reduce_call(const Buffer& buffer, ReduceOp op);
Call reduce_scatter_call(const Buffer& input, const Buffer& output, ReduceOp op, int rank, int size);
Call all_gather_call(const Buffer& input, const Buffer& output, int rank, int size);
Call broadcast_call(const Buffer& buffer, int root, int size);

// Throws Failure(peer_lost) that names the first rank whose call differs from rank 0's. calls: one per rank, in order.
void check_same_call(const Call* calls, int size, std::uint64_t sequence);
[[noreturn]] void fail_different_call(int rank, const Call& theirs, int reference_rank, const Call& reference,
                                      std::uint64_t sequence);

// Of the buffer, or of the larger one of the two. size: number of ranks.
inline std::int64_t bytes_of(const Call& call, int size) {
  const bool parts = call.kind == CallKind::reduce_scatter || call.kind == CallKind::all_gather;
  return call.count * (parts ? size : 1) * static_cast<std::int64_t>(element_bytes(call.type));
}
inline std::int64_t bytes_of(const Buffer& buffer) {
  return buffer.count * static_cast<std::int64_t>(element_bytes(buffer.type));
}
inline std::byte* bytes_at(const Buffer& buffer, std::int64_t element) {
  return static_cast<std::byte*>(buffer.data) + element * static_cast<std::int64_t>(element_bytes(buffer.type));
}
// `count` elements of `buffer` from `first` on.
inline Buffer part_of(const Buffer& buffer, std::int64_t first, std::int64_t count) {
  return {bytes_at(buffer, first), count, buffer.type};
}

}  // namespace lockstep
