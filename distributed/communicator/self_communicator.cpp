#include "lockstep/distributed/communicator/self_communicator.h"

#include <cstring>

#include "lockstep/distributed/communicator/call.h"

namespace lockstep {
namespace {

void copy(const Buffer& from, const Buffer& to) {
  if (from.count > 0 && from.data != to.data) std::memcpy(to.data, from.data, static_cast<std::size_t>(bytes_of(from)));
}

}  // namespace

Work SelfCommunicator::all_reduce(Buffer buffer, ReduceOp op) {
  all_reduce_call(buffer, op);
  return {};
}

Work SelfCommunicator::reduce_scatter(Buffer input, Buffer output, ReduceOp op) {
  reduce_scatter_call(input, output, op, 0, 1);
  copy(input, output);
  return {};
}

Work SelfCommunicator::all_gather(Buffer input, Buffer output) {
  all_gather_call(input, output, 0, 1);
  copy(input, output);
  return {};
}

Work SelfCommunicator::broadcast(Buffer buffer, int root) {
  broadcast_call(buffer, root, 1);
  return {};
}

std::shared_ptr<DirectMemory> SelfCommunicator::allocate(std::int64_t bytes) {
  return allocate_plain_memory(bytes, allocated_);
}

}  // namespace lockstep
