#include "lockstep/distributed/communicator/mpi_communicator.h"

#include <utility>

#include "lockstep/distributed/communicator/mpi_operation.h"
#include "lockstep/distributed/communicator/plain_memory.h"

namespace lockstep {

MpiCommunicator::MpiCommunicator(MpiComm comm, const MpiCommunicatorOptions& options)
    : comm_(std::move(comm)), options_(options), engine_(options.engine) {}

MpiCommunicator::~MpiCommunicator() {
  engine_->close();
  if (engine_->failed()) comm_.abandon();
}

Work MpiCommunicator::all_reduce(Buffer buffer, ReduceOp op) { return start(all_reduce_call(buffer, op), {}, buffer); }

Work MpiCommunicator::reduce_scatter(Buffer input, Buffer output, ReduceOp op) {
  return start(reduce_scatter_call(input, output, op, rank(), size()), input, output);
}

Work MpiCommunicator::all_gather(Buffer input, Buffer output) {
  return start(all_gather_call(input, output, rank(), size()), input, output);
}

Work MpiCommunicator::broadcast(Buffer buffer, int root) {
  return start(broadcast_call(buffer, root, size()), {}, buffer);
}

void MpiCommunicator::barrier() { start(Call{}, {}, {}).wait(); }

std::shared_ptr<DirectMemory> MpiCommunicator::allocate(std::int64_t bytes) { return allocate_plain_memory(bytes); }

Work MpiCommunicator::start(const Call& call, const Buffer& input, const Buffer& output) {
  auto operation = free_operation();
  operation->start(call, ++sequence_, input, output);
  engine_->submit(operation, bytes_of(call, size()));
  return Work(std::move(operation));
}

std::shared_ptr<MpiOperation> MpiCommunicator::free_operation() {
  for (auto& operation : pool_) {
    if (operation->complete() && operation.use_count() == 1)
      return operation;  // neither the engine nor a Work holds it
  }
  return pool_.emplace_back(std::make_shared<MpiOperation>(*this));
}

}  // namespace lockstep
