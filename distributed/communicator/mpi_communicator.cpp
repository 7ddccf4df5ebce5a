#include "lockstep/distributed/communicator/mpi_communicator.h"

#include <utility>

#include "lockstep/distributed/communicator/mpi_operation.h"

namespace lockstep {
namespace {

// Plain memory that outlives a failure, for the reason given below.
class MpiMemory final : public DirectMemory {
 public:
  MpiMemory(std::shared_ptr<DirectMemory> plain, std::shared_ptr<ProgressEngine> engine)
      : plain_(std::move(plain)), engine_(std::move(engine)) {}
  ~MpiMemory() override {
    if (engine_->failed()) (void)new std::shared_ptr(std::move(plain_));
  }
  void* data() override { return plain_->data(); }
  std::int64_t bytes() const override { return plain_->bytes(); }

 private:
  std::shared_ptr<DirectMemory> plain_;
  std::shared_ptr<ProgressEngine> engine_;
};

}  // namespace

MpiCommunicator::MpiCommunicator(MpiComm comm, const MpiCommunicatorOptions& options)
    : comm_(std::move(comm)), options_(options), engine_(options.engine) {}

MpiCommunicator::~MpiCommunicator() {
  engine_->close();
  if (!engine_->failed()) return;
  comm_.abandon();
  // Nothing can call back what MPI has begun: it may write to memory of these as long as the process calls MPI.
  (void)new std::vector(std::move(pool_));
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

std::shared_ptr<DirectMemory> MpiCommunicator::allocate(std::int64_t bytes) {
  return std::make_shared<MpiMemory>(allocate_plain_memory(bytes, allocated_), engine_);
}

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
