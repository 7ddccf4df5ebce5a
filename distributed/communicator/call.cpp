#include "lockstep/distributed/communicator/call.h"

#include <functional>

#include "lockstep/core/error.h"

namespace lockstep {
namespace {

std::string_view kind_name(CallKind kind) {
  switch (kind) {
    case CallKind::all_reduce:
      return "all_reduce";
    case CallKind::reduce_scatter:
      return "reduce_scatter";
    case CallKind::all_gather:
      return "all_gather";
    case CallKind::broadcast:
      return "broadcast";
    case CallKind::barrier:
      return "barrier";
  }
  return "unknown collective";
}

bool reduces(CallKind kind) { return kind == CallKind::all_reduce || kind == CallKind::reduce_scatter; }

std::string text(CallKind kind, const Call& call, const std::string& number) {
  std::string result = std::string(kind_name(kind)) + number;
  if (kind == CallKind::barrier) return result;
  result += " of " + std::to_string(call.count) + " " + std::string(type_name(call.type));
  if (kind == CallKind::reduce_scatter || kind == CallKind::all_gather) result += " per rank";
  if (reduces(kind)) result += " (" + std::string(op_name(call.op)) + ")";
  if (kind == CallKind::broadcast) result += " from rank " + std::to_string(call.root);
  return result;
}

void check_buffer(std::string_view collective, const Buffer& buffer) {
  const std::string name(collective);
  if (buffer.count < 0) fail(ErrorKind::usage, name + ": the count is negative: " + std::to_string(buffer.count));
  if (buffer.count > 0 && buffer.data == nullptr) {
    fail(ErrorKind::usage, name + ": " + std::to_string(buffer.count) + " elements, but the buffer has no memory");
  }
}

void check_op(std::string_view collective, DataType type, ReduceOp op) {
  if (op != ReduceOp::average || type != DataType::int64) return;
  fail(ErrorKind::usage, std::string(collective) + ": the average of int64 is not an integer",
       "sum, and divide where it is used");
}

// whole: size parts of part.count elements. They must not overlap, unless `part` is exactly number `rank`.
void check_parts(std::string_view collective, const Buffer& whole, const Buffer& part, int rank, int size) {
  const std::string name(collective);
  check_buffer(collective, whole);
  check_buffer(collective, part);
  if (whole.type != part.type) {
    fail(ErrorKind::usage, name + ": input and output have different types: " + std::string(type_name(whole.type)) +
                               " and " + std::string(type_name(part.type)));
  }
  if (whole.count != part.count * size) {
    fail(ErrorKind::usage, name + ": the whole has " + std::to_string(whole.count) + " elements, expected " +
                               std::to_string(part.count * size) + " (" + std::to_string(size) + " ranks x " +
                               std::to_string(part.count) + ")");
  }
  if (part.count == 0 || part.data == bytes_at(whole, part.count * rank)) return;
  const std::less<const std::byte*> before;
  const auto* whole_begin = bytes_at(whole, 0);
  const auto* part_begin = bytes_at(part, 0);
  if (before(part_begin, whole_begin + bytes_of(whole)) && before(whole_begin, part_begin + bytes_of(part))) {
    fail(ErrorKind::usage, name + ": input and output overlap",
         "use separate memory, or exactly this rank's part of the larger one");
  }
}

}  // namespace

std::size_t element_bytes(DataType type) {
  switch (type) {
    case DataType::float32:
      return 4;
    case DataType::bfloat16:
    case DataType::float16:
      return 2;
    case DataType::float64:
    case DataType::int64:
      return 8;
  }
  return 0;
}

std::string_view type_name(DataType type) {
  switch (type) {
    case DataType::float32:
      return "float32";
    case DataType::bfloat16:
      return "bfloat16";
    case DataType::float16:
      return "float16";
    case DataType::float64:
      return "float64";
    case DataType::int64:
      return "int64";
  }
  return "unknown type";
}

std::string_view op_name(ReduceOp op) {
  switch (op) {
    case ReduceOp::sum:
      return "sum";
    case ReduceOp::average:
      return "average";
    case ReduceOp::min:
      return "min";
    case ReduceOp::max:
      return "max";
  }
  return "unknown operation";
}

std::string describe(const Call& call) { return text(call.kind, call, ""); }

std::string describe(const Call& call, std::uint64_t sequence) {
  return text(call.kind, call, " #" + std::to_string(sequence));
}

Call all_reduce_call(const Buffer& buffer, ReduceOp op) {
  check_buffer("all_reduce", buffer);
  check_op("all_reduce", buffer.type, op);
  return {CallKind::all_reduce, buffer.type, op, 0, -1, buffer.count};
}

Call reduce_scatter_call(const Buffer& input, const Buffer& output, ReduceOp op, int rank, int size) {
  check_parts("reduce_scatter", input, output, rank, size);
  check_op("reduce_scatter", input.type, op);
  return {CallKind::reduce_scatter, input.type, op, 0, -1, output.count};
}

Call all_gather_call(const Buffer& input, const Buffer& output, int rank, int size) {
  check_parts("all_gather", output, input, rank, size);
  return {CallKind::all_gather, input.type, ReduceOp::sum, 0, -1, input.count};
}

Call broadcast_call(const Buffer& buffer, int root, int size) {
  check_buffer("broadcast", buffer);
  if (root < 0 || root >= size) {
    fail(ErrorKind::usage, "broadcast: the root is rank " + std::to_string(root) + ", but there are ranks 0 to " +
                               std::to_string(size - 1));
  }
  return {CallKind::broadcast, buffer.type, ReduceOp::sum, 0, root, buffer.count};
}

void fail_different_call(int rank, const Call& theirs, int reference_rank, const Call& reference,
                         std::uint64_t sequence) {
  fail(ErrorKind::peer_lost,
       "collective #" + std::to_string(sequence) + " differs between ranks: rank " + std::to_string(rank) + " calls " +
           describe(theirs) + ", but rank " + std::to_string(reference_rank) + " calls " + describe(reference),
       "every rank must make the same calls in the same order; look for a branch that depends on the rank or its data");
}

void check_same_call(const Call* calls, int size, std::uint64_t sequence) {
  for (int rank = 1; rank < size; ++rank) {
    if (!(calls[rank] == calls[0])) fail_different_call(rank, calls[rank], 0, calls[0], sequence);
  }
}

}  // namespace lockstep
